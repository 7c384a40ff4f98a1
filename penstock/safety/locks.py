"""Locks on files: one process at a time, and the lock goes with the process, however that ends."""

from __future__ import annotations

import fcntl
import random
import time

_LONGEST_PAUSE = 0.02


def lock(descriptor: int, wait_seconds: float | None = None) -> bool:
    """Lock an open file; return whether it was done within some seconds, None being for ever.

    Raises:
      OSError: the file system has no locks.
    """
    if wait_seconds is None:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        return True
    deadline, pause = time.monotonic() + wait_seconds, 0.001
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
        time.sleep(random.uniform(pause / 2, pause))
        pause = min(pause * 1.5, _LONGEST_PAUSE)


def unlock(descriptor: int) -> None:
    """Give a lock back; to close the file is not enough where a forked process has it open too."""
    fcntl.flock(descriptor, fcntl.LOCK_UN)
