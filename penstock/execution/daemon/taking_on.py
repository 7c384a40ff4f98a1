"""What a run has around it that its nursery takes on, also as a copy of another process."""

from __future__ import annotations

import importlib
import os
import resource
import signal
import sys
import tempfile
import time
import types
from collections.abc import Iterator, Mapping, Sequence
from multiprocessing import spawn
from typing import Any

_LIMITS = {name: getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_")}


class NotTakenOn(Exception):
    """A copy of the daemon cannot be as a new process of the run's would be."""


def of_this_process(environment: Mapping[str, str]) -> dict[str, Any]:
    """Return what a new process would inherit from this one, as JSON can have it.

    Open files and the folder are not among it: they are given as such.
    """
    prepared = spawn.get_preparation_data("nursery")
    prepared["authkey"] = bytes(prepared["authkey"]).hex()
    return {
        "environment": dict(environment),
        "mask": _mask(),
        "limits": {name: resource.getrlimit(number) for name, number in _LIMITS.items()},
        "ignored": [n for n in signal.valid_signals() if signal.getsignal(n) == signal.SIG_IGN],
        "blocked": list(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
        "prepared": prepared,
    }


def take_on(
    told: Mapping[str, Any], streams: Sequence[int], folder: int, path: Sequence[str]
) -> dict[str, Any]:
    """Let this process, a copy that has done nothing yet, be as a new one of the run's would be.

    `path` is where modules were looked for before any was imported. What is returned is for
    `import_main`, which may take long.

    Raises:
      NotTakenOn: it cannot be.
    """
    os.setsid()  # that of the run can only be inherited
    os.fchdir(folder)
    os.umask(told["mask"])
    for name, limits in told["limits"].items():
        try:
            resource.setrlimit(_LIMITS[name], tuple(limits))
        except (KeyError, ValueError, OSError) as error:
            raise NotTakenOn(f"the limit {name} of the run cannot be set: {error}") from error
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    # As Python decides when it starts.
    sys.stdout.reconfigure(line_buffering=os.isatty(1))  # type: ignore[union-attr]
    os.environ.clear()
    os.environ.update(told["environment"])
    time.tzset()
    tempfile.tempdir = None
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        ignored = number in told["ignored"]
        signal.signal(number, signal.SIG_IGN if ignored else signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, told["blocked"])
    _reseed()
    prepared = {**told["prepared"], "authkey": bytes.fromhex(told["prepared"]["authkey"])}
    del prepared["dir"]  # it may have gone, or have been moved
    for name, place in _hidden(prepared["sys_path"], path):
        raise NotTakenOn(f"{place} comes before the installed {name}")
    # Some packages add to the path as they are imported.
    added = [entry for entry in sys.path if entry not in (*path, *prepared["sys_path"])]
    prepared["sys_path"] = [*prepared["sys_path"], *added]
    importlib.invalidate_caches()
    return prepared


def import_main(prepared: dict[str, Any]) -> None:
    """Import the run's main module, as a new process does; what it raises ends the nursery."""
    sys.modules["__main__"] = types.ModuleType("__main__")  # where the run has none to import
    spawn.prepare(prepared)


def _mask() -> int:
    with open("/proc/self/status", encoding="utf-8", errors="replace") as file:
        [mask] = (line.split()[1] for line in file if line.startswith("Umask:"))
    return int(mask, 8)


def _reseed() -> None:
    """Let copies of one process draw other random numbers than each other, as new ones do."""
    random = sys.modules.get("numpy.random")
    if random is not None:
        random.seed()


def _hidden(run_path: Sequence[str], path: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield modules that a new process would import from a folder of the run's path alone.

    They are imported already, from folders that come later in it.
    """
    imported = {name.partition(".")[0] for name in list(sys.modules)}
    for number, folder in enumerate(run_path):
        if folder in path or not os.path.isdir(folder):
            continue
        for entry in os.listdir(folder):
            name, dot, suffix = entry.partition(".")
            if name not in imported or (dot and suffix.rpartition(".")[2] not in ("py", "so")):
                continue
            module, place = sys.modules.get(name), os.path.join(folder, entry)
            known = [*getattr(module, "__path__", ()), getattr(module, "__file__", None) or ""]
            comes_first = (place, *run_path[:number])
            if name == "__main__" or any(_is_in(a, b) for a in known for b in comes_first):
                continue
            if dot or os.path.exists(os.path.join(place, "__init__.py")) or not known[-1]:
                yield name, place


def _is_in(place: str, folder: str) -> bool:
    if not (place and folder):
        return False
    inside, around = os.path.realpath(place), os.path.realpath(folder)
    return inside == around or inside.startswith(around + os.sep)
