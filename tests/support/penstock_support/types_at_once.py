"""Make the same types and contexts in several processes at the same moment, on a new store.

    python types_at_once.py STORE PROCESSES NAMES

Writes a line of JSON: for each process the ids that it got, in order.
"""

from __future__ import annotations

import json
import multiprocessing
import sys
import traceback
from multiprocessing.synchronize import Barrier
from typing import Any

from penstock import _tfx
from penstock.metadata.store import connect, connection_config

_proto = _tfx.metadata_store_pb2


def make(store: str, names: int, start: Barrier, results: Any) -> None:
    try:
        results.put(_make(store, names, start))
    except Exception:
        start.abort()
        results.put(traceback.format_exc())


def _make(store: str, names: int, start: Barrier) -> list[int]:
    ids = []
    start.wait()
    with connect(connection_config(store)) as metadata:
        for number in range(names):
            start.wait()
            artifact_type = _proto.ArtifactType(name=f"artifact {number}")
            artifact_type.properties["span"] = _proto.INT
            ids.append(metadata.store.put_artifact_type(artifact_type))
            ids.append(
                metadata.store.put_execution_type(_proto.ExecutionType(name=f"execution {number}"))
            )
            context = _tfx.context_lib.register_context_if_not_exists(
                metadata, f"context type {number}", f"context {number}"
            )
            ids += [context.type_id, context.id]
    return ids


def main(store: str, processes: int, names: int) -> None:
    forking = multiprocessing.get_context("fork")
    start, results = forking.Barrier(processes), forking.SimpleQueue()
    children = [
        forking.Process(target=make, args=(store, names, start, results)) for _ in range(processes)
    ]
    for child in children:
        child.start()
    found = [results.get() for _ in children]
    for child in children:
        child.join()
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
