"""Versions of a model below a directory that a model server watches, on a local file system.

A version is renamed into its place when its files are on the disk, so that a server, or a push
that is killed half-way, never leaves or sees part of one. Hidden directories are no versions to
model servers, which look for numbers.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from penstock.errors import ParameterError

LOCK_FILE = ".penstock-push.lock"
STAGING_PREFIX = ".penstock-staging-"


def push(
    source: str,
    base_directory: str,
    *,
    version_names: str,
    version: str | None = None,
    keep_last: int | None = None,
) -> str:
    """Copy the directory `source` to a new version below `base_directory`; return its path.

    `version_names` is "unix_time", "utc_time" or "sequential"; `version` names it instead.
    """
    base = os.path.abspath(os.path.expanduser(base_directory))
    os.makedirs(base, exist_ok=True)
    with _locked(base):
        _remove_staging(base)
        name = new_name(version_names, version, os.listdir(base), base)
        staging = os.path.join(base, STAGING_PREFIX + name)
        copy_directory(source, staging)
        _sync_tree(staging)
        destination = os.path.join(base, name)
        os.rename(staging, destination)
        _sync(base)
        for old in surplus(os.listdir(base), name, keep_last):
            _remove(base, old)
    return os.path.join(base, name)


@contextmanager
def _locked(base: str) -> Iterator[None]:
    # The lock goes with the process that holds it, however that one ends.
    with open(os.path.join(base, LOCK_FILE), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def new_name(version_names: str, version: str | None, taken: list[str], base: str) -> str:
    """Return the name of a new version among those that are `taken`.

    A number that is taken becomes the next free one. Raises ParameterError where another name is.
    """
    name = version or _proposed_name(version_names, taken)
    if name not in taken:
        return name
    if not _numbers([name]):
        raise ParameterError(
            f"The version {name!r} exists already in {base}", hint="Choose a new name."
        )
    number = int(name)
    while str(number) in taken:
        number += 1
    return str(number)


def _proposed_name(version_names: str, taken: list[str]) -> str:
    if version_names == "unix_time":
        return str(int(time.time()))
    if version_names == "utc_time":
        return datetime.now(UTC).strftime("%Y%m%d%H%M%S")
    numbers = _numbers(taken)
    return str(int(numbers[-1]) + 1) if numbers else "1"


def surplus(names: list[str], pushed: str, keep_last: int | None) -> list[str]:
    """Return the oldest numbered versions, beyond `keep_last`; `pushed` is the newest of them."""
    if keep_last is None:
        return []
    older = [name for name in _numbers(names) if name != pushed]
    spared = keep_last - 1 if _numbers([pushed]) else keep_last
    return older[: max(0, len(older) - spared)]


def _numbers(names: list[str]) -> list[str]:
    return sorted((name for name in names if name.isascii() and name.isdigit()), key=int)


def copy_directory(source: str, destination: str) -> None:
    """Copy the files and directories below `source` to `destination`."""
    shutil.copytree(source, destination, dirs_exist_ok=True)


def _remove_staging(base: str) -> None:
    """Remove what pushes left that did not end; the lock says that none is under way."""
    for name in os.listdir(base):
        if name.startswith(STAGING_PREFIX):
            shutil.rmtree(os.path.join(base, name))


def _remove(base: str, name: str) -> None:
    hidden = os.path.join(base, STAGING_PREFIX + name)
    os.rename(os.path.join(base, name), hidden)
    shutil.rmtree(hidden)


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
