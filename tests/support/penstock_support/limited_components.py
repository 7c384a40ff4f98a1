"""Runs of a pipeline with a limit: nodes that say how many of them work at once, and that wait.

    python limited_components.py counts STORE FOLDER HOW_MANY LIMIT
    python limited_components.py waits STORE FOLDER RUN_ID LIMIT
    python limited_components.py orders STORE FOLDER RUN_ID LIMIT

The first starts runs at the same moment, a process each, and writes a line of JSON: for each run
its id and state. The second makes one run, which goes on when there is a file `go` in the folder.
The third makes one that writes its name into the file `order`.
"""

from __future__ import annotations

import json
import os
import sys
import time
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

from penstock import LocalRunner, RunLimit, component, pipeline
from penstock.runners.local.display import PlainLines, Silent
from penstock_support import processes

_WORK_SECONDS = 0.2


@component
def Counts(folder: str) -> int:
    """Work for a while, and keep how many did at the same time."""
    own = Path(folder, "working", str(os.getpid()))
    own.parent.mkdir(exist_ok=True)
    own.touch()
    time.sleep(_WORK_SECONDS)
    count = len(list(own.parent.iterdir()))
    own.unlink()
    Path(folder, f"counted-{os.getpid()}").write_text(str(count))
    return count


@component
def Waits(folder: str) -> str:
    """Wait for a file."""
    Path(folder, "begun").touch()
    processes.wait_until(Path(folder, "go").exists)
    return folder


@pipeline(name="limited")
def counting(folder: str = ""):
    """Count."""
    return Counts(folder=folder).with_options(cache=False)


@pipeline(name="limited")
def waiting(folder: str = ""):
    """Wait."""
    return Waits(folder=folder).with_options(cache=False)


@component
def Orders(folder: str, name: str) -> str:
    """Write a name below those that are there."""
    with open(Path(folder, "order"), "a") as file:
        file.write(f"{name}\n")
    return name


@pipeline(name="limited")
def ordering(folder: str = "", name: str = ""):
    """Write a name down."""
    return Orders(folder=folder, name=name).with_options(cache=False)


def counted(folder: Path) -> list[int]:
    """Return what the nodes have counted."""
    return [int(path.read_text()) for path in folder.glob("counted-*")]


def _run(number: int, store: str, folder: str, limit: int, start: Barrier, results: Any) -> None:
    runner = LocalRunner(
        pipeline_root=f"{folder}/{number}",
        metadata=store,
        display=Silent(),
        limit=RunLimit(limit),
    )
    start.wait()
    result = runner.run(counting, parameters={"folder": folder}, raise_on_failure=False)
    results.put((result.run_id, result.state.value))


def main(what: str, store: str, folder: str, argument: str, limit: str) -> None:
    if what == "counts":
        print(json.dumps(processes.at_once(_run, int(argument), store, folder, int(limit))))
        return
    runner = LocalRunner(
        pipeline_root=f"{folder}/root",
        metadata=store,
        display=PlainLines(),
        limit=RunLimit(int(limit)),
    )
    if what == "orders":
        runner.run(ordering, parameters={"folder": folder, "name": argument}, run_id=argument)
        return
    runner.run(waiting, parameters={"folder": folder}, run_id=argument)


if __name__ == "__main__":
    main(*sys.argv[1:])
