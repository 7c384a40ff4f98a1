"""Paths that are made of names which others chose: they stay inside their roots.

Names come from pipelines, artifacts and the metadata store. What reads may look anywhere; what
writes, renames or removes asks here first.
"""

from __future__ import annotations

import os

from penstock.errors import DataError


def is_inside(root: str, path: str) -> bool:
    """Whether a path leads to something below a root, symbolic links followed."""
    top, target = os.path.realpath(root), os.path.realpath(path)
    return target.startswith(top.rstrip(os.sep) + os.sep)


def inside(root: str, path: str) -> str:
    """Return a path below a root.

    Raises:
      DataError: it leads elsewhere, by `..`, as an absolute path or over a symbolic link.
    """
    if not is_inside(root, path):
        target = os.path.realpath(path)
        leads = "" if target == path else f", where it leads to {target}"
        raise DataError(
            f"expected a path inside of {root}{leads}; nothing is written or removed there",
            path=path,
        )
    return path


def is_name(text: str) -> bool:
    """Whether a text can name a file or folder, and nothing in another folder."""
    return bool(text) and text not in (".", "..") and not set("/\\\0") & set(text)


def name(text: str, what: str, *, path: str | None = None) -> str:
    """Return a text that names a file or folder; `what` and `path` say whose name it is.

    Raises:
      DataError: it is empty, `.` or `..`, or has a separator in it.
    """
    if not is_name(text):
        raise DataError(
            f"{what} becomes part of a path, so it cannot be {text!r}",
            path=path,
            hint="Use letters, digits, dashes, underscores and dots.",
        )
    return text


def below(folder: str, pattern: str, what: str) -> str:
    """Return a path or glob pattern joined to the folder to which it is relative.

    Raises:
      DataError: it names something outside of the folder.
    """
    joined = os.path.join(folder, pattern)
    top = os.path.normpath(folder)
    if os.path.commonpath([os.path.abspath(top), os.path.abspath(joined)]) != os.path.abspath(top):
        raise DataError(f"{what} leads out of its folder: {pattern!r}", path=folder)
    return joined
