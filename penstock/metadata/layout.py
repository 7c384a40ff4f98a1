"""Where a run keeps its files, below the root of its pipeline.

    .runs/{run}/                                            what nodes printed and took; the report
    {node}/{key}/{execution}/                               an output
    {node}/.system/executor_execution/{execution}/          while the node works; `staging` below it
    {node}/.system/stateful_working_dir/{execution}/        what its tries have in common
    {node}/.system/kept/                                    what a next execution may go on with

All but the first and the last are TFX's.
"""

from __future__ import annotations

import os
from typing import IO, Any

from penstock.safety import opening

RUNS = ".runs"
SYSTEM = ".system"
EXECUTOR_EXECUTION = "executor_execution"
STATEFUL = "stateful_working_dir"


def run_folder(root: str, run_id: str) -> str:
    """Return the folder of a run's own files."""
    return os.path.join(root, RUNS, run_id)


def working_folders(node_folder: str, execution_id: int | None = None) -> tuple[str, str]:
    """Return the folders in which a node's executions work, or in which one of them does."""
    execution = () if execution_id is None else (str(execution_id),)
    system = os.path.join(node_folder, SYSTEM)
    return (
        os.path.join(system, EXECUTOR_EXECUTION, *execution),
        os.path.join(system, STATEFUL, *execution),
    )


def kept_folder(node_folder: str) -> str:
    """Return the folder of what a node's executions that failed have left for the next one."""
    return os.path.join(node_folder, SYSTEM, "kept")


def staging_folder(node_folder: str, execution_id: int) -> str:
    """Return the folder in which an execution's outputs are written."""
    return os.path.join(working_folders(node_folder, execution_id)[0], "staging")


def log_path(run_folder: str, node_id: str) -> str:
    """Return the file of what a node printed, in the folder of its run."""
    return os.path.join(run_folder, f"{node_id}.log")


def resources_path(run_folder: str, node_id: str) -> str:
    """Return the file of what a node took of its machine, in the folder of its run."""
    return os.path.join(run_folder, f"{node_id}.resources.jsonl")


def open_run_file(path: str, mode: str = "r", **options: Any) -> IO[Any]:
    """Open one of the files in the folder of a run, as `open` does, over no link below the root.

    What stands in no such folder, as the standard output of a pod, is opened as it is.

    Raises:
      OSError: as `opening.open_below`.
    """
    root = _root_of(path)
    if root is None:
        return open(path, mode, **options)
    return opening.open_below(root, path, mode, **options)


def run_file_descriptor(path: str, flags: int) -> int:
    """Open one of the files in the folder of a run, as `os.open` does, over no link below the root.

    What stands in no such folder, as the standard output of a pod, is opened as it is.

    Raises:
      OSError: as `opening.open_below`.
    """
    root = _root_of(path)
    if root is None:
        return os.open(path, flags | os.O_CLOEXEC, 0o666)
    return opening.descriptor_below(root, path, flags)


def _root_of(path: str) -> str | None:
    """Return the pipeline's root, of a path in the folder of a run; None for another path."""
    runs = os.path.dirname(os.path.dirname(os.path.abspath(path)))
    return os.path.dirname(runs) if os.path.basename(runs) == RUNS else None
