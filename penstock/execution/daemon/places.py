"""Where a project's daemon is found: by the project, the user and the Python environment."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from penstock.errors import StorageError
from penstock.safety.private import is_private, open_private_folder, user_cache

_FOLDER = "penstock"


@dataclass(frozen=True)
class Place:
    """An open folder of the user's alone, and what a daemon's files in it are called."""

    folder: int
    path: str
    name: str

    @property
    def socket(self) -> str:
        """The name of its socket."""
        return f"{self.name}.socket"

    @property
    def lock(self) -> str:
        """The name of the file that is locked by the one daemon that is there."""
        return f"{self.name}.lock"

    @property
    def log(self) -> str:
        """The name of the file that has what it prints."""
        return f"{self.name}.log"


@contextmanager
def opened(project: str, environment: Mapping[str, str]) -> Iterator[Place]:
    """Open the folder in which a project's daemon listens, and yield the place.

    Raises:
      StorageError: there can be no folder of this user's alone.
    """
    path = _folder(environment)
    folder = open_private_folder(path)
    try:
        yield Place(folder, path, _name(project))
    finally:
        os.close(folder)


def is_there(environment: Mapping[str, str]) -> bool:
    """Whether this user has ever had a daemon; then there is the folder for them."""
    try:
        return os.path.isdir(_folder(environment))
    except StorageError:
        return False


def _folder(environment: Mapping[str, str]) -> str:
    """Return what systems keep for processes of a user, or else the user's cache."""
    runtime = environment.get("XDG_RUNTIME_DIR", "")
    if os.path.isabs(runtime) and is_private(runtime):
        return os.path.join(runtime, _FOLDER)
    cache = user_cache(environment)
    if cache is None:
        raise StorageError(
            "there is no folder for sockets of this user's: neither XDG_RUNTIME_DIR nor HOME is set"
        )
    return os.path.join(cache, _FOLDER, "run")


def _name(project: str) -> str:
    parts = (os.path.realpath(project), sys.prefix, sys.version)
    return hashlib.sha256("\0".join(parts).encode(errors="surrogateescape")).hexdigest()[:24]
