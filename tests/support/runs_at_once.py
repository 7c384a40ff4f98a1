"""Start several runs at the same moment, each in a process of its own, and say how they went.

    python runs_at_once.py STORE FOLDER HOW_MANY

Writes a line of JSON: for each run its id and state, or its error.
"""

from __future__ import annotations

import json
import multiprocessing
import sys
import traceback
from multiprocessing.synchronize import Barrier
from typing import Any

from example_components import training

from penstock import LocalRunner
from penstock.runners.local.display import Silent


def run(number: int, store: str, folder: str, start: Barrier, results: Any) -> None:
    runner = LocalRunner(
        pipeline_root=f"{folder}/{number}", metadata=store, parallelism=2, display=Silent()
    )
    start.wait()
    try:
        result = runner.run(training, parameters={"rows": number}, raise_on_failure=False)
        errors = [node.error for node in result.nodes.values() if node.error]
        results.put({"run": result.run_id, "state": result.state.value, "errors": errors})
    except Exception:
        results.put({"run": "", "state": "raised", "errors": [traceback.format_exc()]})


def main(store: str, folder: str, how_many: int) -> None:
    # Forked when all is imported, so that they start within a millisecond of each other.
    processes = multiprocessing.get_context("fork")
    start, results = processes.Barrier(how_many), processes.SimpleQueue()
    children = [
        processes.Process(target=run, args=(number, store, folder, start, results))
        for number in range(how_many)
    ]
    for child in children:
        child.start()
    found = [results.get() for _ in children]
    for child in children:
        child.join()
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
