"""Paths of what may be removed: whether they are where they seem to be, and what they hold."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

from penstock.errors import StorageError
from penstock.metadata import layout
from penstock.safety.presence import is_there_itself

REMOVING = "removing"


def is_plainly_inside(
    path: str, folder: str, root: str, real: Callable[[str], str] = os.path.realpath
) -> bool:
    """Return whether a path is a folder or in it, below a root, with no link on its way there.

    `real` returns a path without links.
    """
    if "://" in path or not os.path.isabs(path) or not root or not os.path.isabs(root):
        return False
    if path.rstrip(os.sep) != os.path.normpath(path):
        return False
    path, folder = os.path.normpath(path), os.path.normpath(folder)
    if path != folder and not path.startswith(folder + os.sep):
        return False
    if not folder.startswith(root + os.sep):
        return False
    below = os.path.relpath(path, root)
    return real(path) == os.path.join(real(root), below)


def trash_of(root: str, node_id: str, artifact_id: int) -> str:
    """Return where an artifact is moved before it is deleted: in its node's own folder."""
    return os.path.join(root, node_id, layout.SYSTEM, REMOVING, str(artifact_id))


def came_to_be(path: str) -> float:
    """Return when a path was made or last renamed, at the latest; this cannot be set at will."""
    return os.lstat(path).st_ctime


def may_be_there(path: str) -> bool:
    """Whether a path is there, or cannot be told to be gone."""
    try:
        return is_there_itself(path)
    except StorageError:
        return True


def disk_size(path: str) -> int:
    """Return the bytes of a file or of all files below a folder; links are not followed."""
    if not os.path.isdir(path) or os.path.islink(path):
        return os.lstat(path).st_size if os.path.lexists(path) else 0
    try:
        entries = os.scandir(path)
    except OSError:
        return 0
    with entries:
        return sum(
            disk_size(entry.path)
            if entry.is_dir(follow_symlinks=False)
            else entry.stat(follow_symlinks=False).st_size
            for entry in entries
        )


def normal(path: str) -> str:
    """Return a path without detours: the same text where it has none, of which there are many."""
    normal = os.path.normpath(path)
    return path if normal == path else normal


def folders(path: str) -> list[str]:
    """Return the names in a folder that are not hidden; of one that cannot be read, none."""
    try:
        return sorted(name for name in os.listdir(path) if not name.startswith("."))
    except OSError:
        # What cannot be looked at cannot be removed either.
        return []


def and_parents(path: str) -> Iterator[str]:
    """Yield a path and the folders that it is in, the innermost first."""
    while path and path != os.sep and path != ".":
        yield path
        path = os.path.dirname(path)
