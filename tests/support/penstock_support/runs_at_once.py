"""Start several runs at the same moment, each in a process of its own, and say how they went.

    python runs_at_once.py STORE FOLDER HOW_MANY

Writes a line of JSON: for each run its id and state, or its error.
"""

from __future__ import annotations

import json
import sys
import traceback
from multiprocessing.synchronize import Barrier
from typing import Any

from penstock import LocalRunner
from penstock.runners.local.display import Silent
from penstock_support import processes
from penstock_support.example_components import training


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
    print(json.dumps(processes.at_once(run, how_many, store, folder)))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
