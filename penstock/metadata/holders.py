"""Processes as others can recognize them, also on other machines and after their end."""

from __future__ import annotations

import functools
import os
import socket
import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Holder:
    """A process, as others can recognize it.

    `machine` tells one boot of a machine, and one space of process ids on it, from all others;
    `born` is the process's start in clock ticks, since process ids are used again.
    """

    machine: str
    name: str
    process_id: int
    born: int

    def is_alive(self) -> bool | None:
        """Whether the process lives; None if only its own machine, or its user, can know."""
        if self.machine != _this_machine():
            return None
        born = birth(self.process_id)
        if born is None and _is_hidden(self.process_id):
            return None
        return born == self.born


def this_process() -> Holder:
    """Return the process that asks."""
    process_id = os.getpid()
    return Holder(_this_machine(), socket.gethostname(), process_id, birth(process_id) or 0)


@functools.cache
def _this_machine() -> str:
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return f"{file.read().strip()} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        # Without these only the term of the lease counts.
        return f"{socket.gethostname()} {time.time_ns()}"


def _is_hidden(process_id: int) -> bool:
    """Whether there is such a process and /proc does not show it, as those of other users."""
    try:
        os.kill(process_id, 0)
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False
    return False


def birth(process_id: int) -> int | None:
    """Return when a process started, in clock ticks since the boot, None if there is none."""
    try:
        with open(f"/proc/{process_id}/stat", encoding="utf-8", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])
