"""A process that looks at workers while they work, and writes what they take.

It is forked of a nursery before that imports anything, so it is small, and it goes on looking while
the nursery imports. It is no thread of the worker's: those that have threads cannot be forked.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import resource
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection

from penstock.data.parallel.processes import die_with
from penstock.execution import resources
from penstock.execution.resources import MOST_SAMPLES, Sample

# A worker's first samples are as close as this; later ones a tenth of its age apart, up to most.
_SHORTEST_SECONDS, _LONGEST_SECONDS = 0.05, 1.0
# Looking at a worker takes no more than these shares of the time: what many processes have of their
# own is told slowly, and folders may be large.
_SHARE, _FOLDERS_SHARE = 0.05, 0.02


@dataclass(frozen=True)
class Subject:
    """A worker that is looked at: where its samples go, and the folders in which it writes."""

    process_id: int
    path: str
    began: float  # by the monotonic clock, which all processes of a machine have in common
    folders: tuple[str, ...] = ()


class Sampler:
    """The nursery's side of the process that looks at its workers."""

    def __init__(self, inherited: Connection) -> None:
        """Start it; `inherited` is a connection of the nursery's that it must not hold open."""
        self.connection, far_end = multiprocessing.Pipe()
        nursery = os.getpid()
        if os.fork():
            far_end.close()
            return
        try:
            die_with(nursery)
            self.connection.close()
            inherited.close()
            _run(far_end)
        finally:
            os._exit(0)

    def look_at(self, subject: Subject) -> None:
        """Look at a worker until it ends."""
        with contextlib.suppress(OSError):  # somebody has killed it: nothing is measured then
            self.connection.send(subject)


def is_possible() -> bool:
    """Whether this system tells what processes take."""
    return os.path.exists("/proc/self/stat")


def begin(path: str) -> bool:
    """Begin the file of a worker that is about to start; return whether there can be one."""
    try:
        if path:
            resources.begin(path, time.time())
    except OSError:  # what keeps it from being written, the worker will meet and tell
        return False
    return bool(path)


@contextlib.contextmanager
def both_ends(subject: Subject | None) -> Iterator[None]:
    """Have a worker itself add what it takes as it begins and ends, however short it is."""
    _add(subject)
    yield
    _add(subject)


def _add(subject: Subject | None) -> None:
    with contextlib.suppress(OSError):
        sample = measure(subject, _disk_bytes(subject.folders)) if subject else None
        if subject is not None and sample is not None:
            resources.add(subject.path, sample)


@dataclass
class _Watch:
    """A worker under way."""

    subject: Subject
    due: float
    least: float = _SHORTEST_SECONDS
    count: int = 1
    disk: int | None = None
    disk_due: float = 0.0

    def look(self) -> bool:
        """Take a sample; return whether there will be more."""
        subject, began = self.subject, time.monotonic()
        try:
            if time.monotonic() >= self.disk_due:
                self._look_through_folders()
            sample = measure(subject, self.disk)
            if sample is None:
                return False
            resources.add(subject.path, sample)
            self.count += 1
            if self.count >= MOST_SAMPLES:
                self.count = resources.thin(subject.path)
                self.least = 2 * max(self.least, _LONGEST_SECONDS)
        except OSError:  # the disk is full, or the run is removed; the worker will tell
            return os.path.exists(f"/proc/{subject.process_id}")
        finally:
            now = time.monotonic()
            wait = max(self.least, min(_LONGEST_SECONDS, (now - subject.began) / 10))
            self.due = now + max(wait, (now - began) / _SHARE)
        return True

    def _look_through_folders(self) -> None:
        began = time.monotonic()
        self.disk = _disk_bytes(self.subject.folders)
        now = time.monotonic()
        self.disk_due = now + (now - began) / _FOLDERS_SHARE


def _run(connection: Connection) -> None:
    watches: list[_Watch] = []
    while True:
        now = time.monotonic()
        wait = min((watch.due - now for watch in watches), default=None)
        if connection.poll(None if wait is None else max(0.0, wait)):
            try:
                watches.append(_Watch(connection.recv(), now + _SHORTEST_SECONDS))
            except (EOFError, OSError):
                return
        now = time.monotonic()
        watches = [watch for watch in watches if watch.due > now or watch.look()]


def measure(subject: Subject, disk_bytes: int | None = None) -> Sample | None:
    """Return what a process and those that it has started take; None if it has ended.

    A process that is a copy of another shares memory with it: only what is its alone is added.
    """
    root = _times(subject.process_id)
    if root is None:
        return None
    cpu_seconds, memory = root, _resident_bytes(subject.process_id)
    moved = _moved_bytes(subject.process_id)
    for process_id in _descendants(subject.process_id):
        cpu_seconds += _times(process_id) or 0.0
        memory += _own_bytes(process_id)
        of_child = _moved_bytes(process_id)
        if moved is not None and of_child is not None:
            moved = moved[0] + of_child[0], moved[1] + of_child[1]
    read, written = moved or (None, None)
    seconds = time.monotonic() - subject.began
    return Sample(round(seconds, 3), round(cpu_seconds, 3), memory, read, written, disk_bytes)


_TICKS = os.sysconf("SC_CLK_TCK")


def _times(process_id: int) -> float | None:
    """Return the CPU seconds of a process and of those children that it has waited for."""
    # After the name, which may hold anything: the state, and eleven fields later the times.
    fields = _read(process_id, "stat").rpartition(")")[2].split()
    if not fields or fields[0] in "ZX":
        return None
    return sum(int(ticks) for ticks in fields[11:15]) / _TICKS


def _resident_bytes(process_id: int) -> int:
    fields = _read(process_id, "statm").split()
    return int(fields[1]) * resource.getpagesize() if fields else 0


def _own_bytes(process_id: int) -> int:
    """Return what memory a process has that no other one shares."""
    lines = _read(process_id, "smaps_rollup").splitlines()
    private = [line.split()[1] for line in lines if line.startswith("Private_")]
    return 1024 * sum(int(kilobytes) for kilobytes in private)


def _moved_bytes(process_id: int) -> tuple[int, int] | None:
    """Return what a process, and children that it has waited for, have read and written."""
    lines = dict(line.split(": ") for line in _read(process_id, "io").splitlines())
    return (int(lines["rchar"]), int(lines["wchar"])) if "rchar" in lines else None


def _descendants(process_id: int) -> Iterator[int]:
    """Yield the processes that a process has started, and what they have."""
    threads: Sequence[str] = ()
    with contextlib.suppress(OSError):
        threads = os.listdir(f"/proc/{process_id}/task")
    for thread in threads:
        for child in _read(process_id, f"task/{thread}/children").split():
            yield int(child)
            yield from _descendants(int(child))


def _read(process_id: int, name: str) -> str:
    """Return what the system tells of a process; "" if it has ended, or that is not told."""
    try:
        with open(f"/proc/{process_id}/{name}", encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def _disk_bytes(folders: Sequence[str]) -> int | None:
    """Return what the files below some folders take on disk."""
    return sum(_size(folder) for folder in folders) if folders else None


def _size(folder: str) -> int:
    total = 0
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):  # it is gone meanwhile
                if entry.is_dir(follow_symlinks=False):
                    total += _size(entry.path)
                else:
                    total += entry.stat(follow_symlinks=False).st_blocks * 512
    return total
