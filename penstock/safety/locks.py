"""Locks on files: one process at a time, and the lock goes with the process, however that ends."""

from __future__ import annotations

import errno
import fcntl
import os
import random
import time

from penstock.errors import StorageError

_LONGEST_PAUSE = 0.02
# What file systems say that have no locks, as NFS without its lock service.
_NONE = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


def lock(descriptor: int, wait_seconds: float | None = None) -> bool:
    """Lock an open file; return whether it was done within some seconds, None being for ever.

    Raises:
      StorageError: the file system has no locks.
    """
    try:
        return _lock(descriptor, wait_seconds)
    except OSError as error:
        if error.errno not in _NONE:
            raise
        path = _path_of(descriptor)
        raise StorageError(
            f"the file system of {path} has no locks",
            path=path,
            hint="Keep it on a disk of this machine, or mount the file system with locks (NFS from "
            "version 4 on has them).",
        ) from error


def _lock(descriptor: int, wait_seconds: float | None) -> bool:
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


def _path_of(descriptor: int) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")
    except OSError:  # only Linux says
        return "the file"
