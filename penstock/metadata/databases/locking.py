"""A lock between processes, on a file."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from penstock.errors import StorageError, StoreError
from penstock.safety.locks import lock, unlock
from penstock.safety.opening import descriptor_below

WAIT_SECONDS = 30.0
_READ_ONLY = (errno.EACCES, errno.EPERM, errno.EROFS)


class StoreLocked(StoreError):
    """A store that another process did not let go of."""


@contextmanager
def file_lock(path: str, *, protects: str, wait_seconds: float = WAIT_SECONDS) -> Iterator[None]:
    """Be the only process on this machine that holds the lock on a file.

    A process that ends, however it ends, gives its lock back. In a folder that may only be read
    there is no file to lock, and then nothing is protected: nobody writes there.

    Raises:
      StoreError: another process kept the lock for longer than `wait_seconds`, or the file system
        has no locks.
    """
    descriptor = _open(path)
    if descriptor is None:
        yield
        return
    try:
        try:
            locked = lock(descriptor, wait_seconds)
        except StorageError as error:
            raise StoreError(
                f"the metadata store {protects} cannot be used: its file system has no locks",
                hint="Keep it on a disk of this machine, or in a server: mysql:// or postgresql:// "
                "in the profile's `metadata`.",
            ) from error
        if not locked:
            raise locked_for_long(protects, wait_seconds, _holder(path))
        try:
            yield
        finally:
            unlock(descriptor)
    finally:
        os.close(descriptor)


def _open(path: str) -> int | None:
    for flags in (os.O_RDWR | os.O_CREAT, os.O_RDONLY):
        try:
            return descriptor_below(os.path.dirname(path) or ".", path, flags)
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno not in _READ_ONLY:
                raise
    return None


def locked_for_long(protects: str, wait_seconds: float, holder: str = "") -> StoreLocked:
    """Return the error for a store that another process did not let go of."""
    return StoreLocked(
        f"the metadata store {protects} has been locked by {holder or 'another process'} for more "
        f"than {wait_seconds:g} seconds",
        hint="Wait for that process or end it, then try again.",
    )


def _holder(path: str) -> str:
    """Name the process that holds a lock, where the system tells (Linux does)."""
    try:
        inode = os.stat(path).st_ino
        for line in Path("/proc/locks").read_text().splitlines():
            fields = line.split()
            if fields[1] == "FLOCK" and fields[5].rpartition(":")[2] == str(inode):
                return f"process {fields[4]}"
    except (OSError, IndexError):
        pass
    return ""
