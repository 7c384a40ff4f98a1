"""Whether workers can be copies of this process: they then have what it has imported.

A copy has one thread, the one that forked. So it is made where that is the only one that matters:
Python has no other, TensorFlow has not started, and no library has threads but the idle ones that
an import leaves, which begin anew in a copy (OpenBLAS, Arrow's allocator). What cannot be seen
counts against it, and workers come of a new process, which imports all again.
"""

from __future__ import annotations

import os
import sys
import sysconfig
import threading
from collections.abc import Iterator

from penstock._tfx import lazy
from penstock.data.parallel.processes import tensorflow_runs
from penstock.execution.elapsed import process_began

_TASKS = "/proc/self/task"
_MAPS = "/proc/self/maps"
_OF_ARROW = "jemalloc_bg_thd"
_MOST_OF_OPENBLAS = 64  # it starts no more threads, on whatever machine


def reason_for_new_process() -> str:
    """Return why workers cannot be copies of this process; an empty text where they can."""
    if "tensorflow" not in sys.modules:
        return "TensorFlow is not imported in this one"
    if lazy.has_unexecuted():
        return "TFX is imported in this one only in part"
    reason = reason_against_copies()
    if reason:
        return reason
    changed = next(_changed_code(), None)
    return f"{changed} has changed since this one began" if changed else ""


def reason_against_copies() -> str:
    """Return what is under way in this process that a copy would lack; an empty text if nothing."""
    if threading.active_count() > 1:
        return f"Python has {threading.active_count()} threads in this one"
    if tensorflow_runs():
        return "TensorFlow has started in this one"
    try:
        more = _threads() - _idle_threads()
    except OSError:
        return "this system does not tell which threads a process has"
    if more > 0:
        return f"libraries have {more} threads in this one that imports do not leave"
    return ""


def _threads() -> int:
    """Return how many threads there are beside this one and those that are known by name."""
    return sum(_name(task) != _OF_ARROW for task in os.listdir(_TASKS)) - 1


def _name(task: str) -> str:
    with open(os.path.join(_TASKS, task, "comm"), encoding="utf-8") as file:
        return file.read().strip()


def _idle_threads() -> int:
    """Return how many threads the copies of OpenBLAS that are loaded start as they are."""
    with open(_MAPS, encoding="utf-8", errors="replace") as file:
        paths = {line.split()[-1] for line in file if "openblas" in line}
    return len(paths) * (min(len(os.sched_getaffinity(0)), _MOST_OF_OPENBLAS) - 1)


def _changed_code() -> Iterator[str]:
    """Yield files of imported modules that have been written since this process began.

    What is installed stays as it is: only other modules are looked at.
    """
    began = process_began()
    installed = tuple({os.path.realpath(path) for path in sysconfig.get_paths().values()})
    for module in list(sys.modules.values()):
        path = getattr(module, "__file__", None)
        if not path or os.path.realpath(path).startswith(installed):
            continue
        try:
            if os.stat(path).st_mtime >= began:
                yield path
        except OSError:
            yield path
