"""Write with ml-metadata's own client from several processes at the same moment.

    python stock_writers.py PORT PROCESSES HOW_MANY

Each makes the same types and contexts as the others, and executions with artifacts of its own.
Writes a line of JSON: for each process the ids of its types, of its context, and of what it made.
"""

from __future__ import annotations

import json
import sys
import traceback
from typing import Any

from ml_metadata import proto
from ml_metadata.metadata_store import metadata_store

from penstock_support import processes


def write(number: int, port: int, how_many: int, start: Any, results: Any) -> None:
    try:
        results.put(_write(number, port, how_many, start))
    except Exception:
        start.abort()
        results.put(traceback.format_exc())


def _write(number: int, port: int, how_many: int, start: Any) -> dict[str, Any]:
    config = proto.MetadataStoreClientConfig(host="localhost", port=port)
    store = metadata_store.MetadataStore(config)
    start.wait()
    types = [
        store.put_artifact_type(proto.ArtifactType(name="written")),
        store.put_execution_type(proto.ExecutionType(name="writing")),
        store.put_context_type(proto.ContextType(name="writers")),
    ]
    made, context_id = [], 0
    for item in range(how_many):
        execution = proto.Execution(type_id=types[1], name=f"{number}/{item}")
        event = proto.Event(type=proto.Event.OUTPUT)
        event.path.steps.add().key = "written"
        artifact = proto.Artifact(type_id=types[0], uri=f"{number}/{item}")
        context = proto.Context(type_id=types[2], name="all")
        execution_id, [artifact_id], [context_id] = store.put_execution(
            execution,
            [(artifact, event)],
            [context],
            reuse_context_if_already_exist=True,
        )
        made.append([execution_id, artifact_id])
    return {"types": types, "context": context_id, "made": made}


def main(port: int, how_many: int, items: int) -> None:
    print(json.dumps(processes.at_once(write, how_many, port, items)))


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
