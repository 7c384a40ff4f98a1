"""Versions of a model below a directory that a model server watches, on a local file system.

A version is renamed into its place when its files are on the disk, so that a server, or a push
that is killed half-way, never leaves or sees part of one. Hidden directories are no versions to
model servers, which look for numbers. Pushes to one directory wait for each other; a lock that the
system gives back when its holder ends, however it ends, says whose turn it is.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime

from penstock.components.pusher import ledger
from penstock.errors import ParameterError, StorageError
from penstock.safety.locks import lock
from penstock.safety.opening import descriptor_below

LOCK_FILE = ".penstock-push.lock"
STAGING_PREFIX = ".penstock-staging-"


def push(
    source: str,
    base_directory: str,
    *,
    version_names: str,
    version: str | None = None,
    keep_last: int | None = None,
    push_name: str = "",
) -> str:
    """Copy the directory `source` to a new version below `base_directory`; return its path.

    `version_names` is "unix_time", "utc_time" or "sequential"; `version` names it instead. A push
    with a `push_name` that has made a version already makes no other.

    Raises:
      StorageError: the directory cannot be made, locked or written to; it is as it was.
      ParameterError: `version` is there already, or the base directory is none.
    """
    base = os.path.abspath(os.path.expanduser(base_directory))
    _make_base(base)
    try:
        with _locked(base):
            _remove_staging(base)
            present = _directories(base)
            published = ledger.version_of(base, push_name) if push_name else None
            if published in present:
                return os.path.join(base, str(published))
            name = new_name(version_names, version, os.listdir(base), base)
            if push_name:
                ledger.forget(base, present)
                ledger.write(base, push_name, name)
            _publish(source, base, name)
            for old in surplus(_directories(base), name, keep_last):
                _remove(base, old)
    except OSError as error:
        raise _cannot_push(source, base, error) from error
    return os.path.join(base, name)


def _make_base(base: str) -> None:
    try:
        os.makedirs(base, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise ParameterError(
            f"the base directory to push to should be a directory, and {base} is none: "
            f"{_reason(error)}"
        ) from error
    except OSError as error:
        raise StorageError(
            f"cannot make the base directory {base} to push to: {_reason(error)}", path=base
        ) from error


def _publish(source: str, base: str, name: str) -> None:
    staging = os.path.join(base, f"{STAGING_PREFIX}{name}-{secrets.token_hex(4)}")
    try:
        copy_directory(source, staging)
        _sync_tree(staging)
        os.rename(staging, os.path.join(base, name))
    except BaseException:
        with suppress(OSError):
            _delete(staging)
        raise
    _sync(base)


@contextmanager
def _locked(base: str) -> Iterator[None]:
    path = os.path.join(base, LOCK_FILE)
    while True:
        descriptor = _open_lock(path)
        try:
            _wait_for(descriptor, base)
            # Who waits for a lock that is removed meanwhile would hold one that nobody asks for.
            if _is_still(path, descriptor):
                yield
                return
        finally:
            os.close(descriptor)


def _open_lock(path: str) -> int:
    try:
        return descriptor_below(os.path.dirname(path), path, os.O_RDWR | os.O_CREAT)
    except PermissionError:  # another user's, which may be locked all the same
        return descriptor_below(os.path.dirname(path), path, os.O_RDONLY)


def _wait_for(descriptor: int, base: str) -> None:
    try:
        if not lock(descriptor, wait_seconds=0):
            print(f"Waiting for another push to {base} to end.", flush=True)
            lock(descriptor)
    except OSError as error:
        raise StorageError(
            f"the file system of {base} has no locks ({_reason(error)}), so pushes at the same "
            "time could destroy each other's versions",
            path=base,
            hint="Push to a directory on a file system with locks (local disks, NFS with its lock "
            "service), or to an object store by its URI.",
        ) from error


def _is_still(path: str, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _cannot_push(source: str, base: str, error: OSError) -> StorageError:
    hint = "Nothing was published."
    if os.strerror(errno.ENOSPC) in str(error):
        with suppress(OSError):
            free = shutil.disk_usage(base).free
            hint += f" {free / 1e6:,.1f} MB are free there: remove old versions, or give keep_last."
    else:
        hint += f" Look at its owner and mode (ls -ld {base}) and how it is mounted."
    return StorageError(f"cannot push {source} to {base}: {_reason(error)}", path=base, hint=hint)


def _reason(error: OSError) -> str:
    """Say why in the system's words, and at which file."""
    if isinstance(error, shutil.Error):  # all that went wrong with the files of a directory
        first = error.args[0][0]
        return str(first[-1]).partition("] ")[2] or str(first[-1])
    name = error.filename2 or error.filename
    text = error.strerror or str(error)
    return f"{text}: {os.fsdecode(name)!r}" if isinstance(name, (str, bytes)) else text


def new_name(version_names: str, version: str | None, taken: list[str], base: str) -> str:
    """Return the name of a new version among those that are `taken`.

    A number that is made here is greater than all, as model servers serve the greatest. One that
    is given, and taken, becomes the next free one.

    Raises:
      ParameterError: another name is given, and taken.
    """
    name = version or _proposed_name(version_names, taken)
    if name not in taken:
        return name
    if not _numbers([name]):
        raise ParameterError(
            f"the version {name!r} exists already in {base}", hint="Choose a new name."
        )
    number = int(name)
    while str(number) in taken:
        number += 1
    return str(number)


def _proposed_name(version_names: str, taken: list[str]) -> str:
    numbers = _numbers(taken)
    next_number = int(numbers[-1]) + 1 if numbers else 1
    if version_names == "unix_time":
        return str(max(int(time.time()), next_number))
    if version_names == "utc_time":
        return str(max(int(datetime.now(UTC).strftime("%Y%m%d%H%M%S")), next_number))
    return str(next_number)


def surplus(names: list[str], pushed: str, keep_last: int | None) -> list[str]:
    """Return the numbered versions beyond the `keep_last` greatest, without the one `pushed`."""
    if keep_last is None:
        return []
    return [name for name in _numbers(names)[:-keep_last] if name != pushed]


def _numbers(names: list[str]) -> list[str]:
    return sorted((name for name in names if name.isascii() and name.isdigit()), key=int)


def copy_directory(source: str, destination: str) -> None:
    """Copy the files and directories below `source` to `destination`."""
    shutil.copytree(source, destination, dirs_exist_ok=True)


def _directories(base: str) -> list[str]:
    return [entry.name for entry in os.scandir(base) if entry.is_dir()]


def _remove_staging(base: str) -> None:
    """Remove what pushes left that did not end; the lock says that none is under way."""
    for name in os.listdir(base):
        if name.startswith(STAGING_PREFIX):
            # What stays is in nobody's way: the next staging directory has another name.
            with suppress(OSError):
                _delete(os.path.join(base, name))


def _remove(base: str, name: str) -> None:
    """Remove an old version; where that fails the new one is published all the same."""
    hidden = os.path.join(base, f"{STAGING_PREFIX}{name}-{secrets.token_hex(4)}")
    try:
        os.rename(os.path.join(base, name), hidden)
        _delete(hidden)
    except OSError as error:
        print(f"The old version {name} could not be removed: {_reason(error)}")


def _delete(path: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    else:
        os.unlink(path)


def _sync_tree(directory: str) -> None:
    for folder, _, files in os.walk(directory, topdown=False):
        for file in files:
            _sync(os.path.join(folder, file))
        _sync(folder)


def _sync(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
