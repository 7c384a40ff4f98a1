"""Files that one part of a work reads together."""

from __future__ import annotations

import os
from collections.abc import Sequence


def file_groups(files: Sequence[str], least_bytes: int) -> list[tuple[str, ...]]:
    """Put files together, in their order, until a group has so many bytes.

    What groups there are depends on the files alone, whoever reads them.
    """
    groups: list[list[str]] = []
    size = least_bytes
    for file in files:
        if size >= least_bytes:
            groups.append([])
            size = 0
        groups[-1].append(file)
        size += file_bytes(file)
    return [tuple(group) for group in groups]


def file_bytes(file: str) -> int:
    """Return the size of a file; nothing where it is not known: who reads it says what is wrong."""
    try:
        return os.path.getsize(file)
    except OSError:
        return 0
