"""Files that are there when they are whole, and not before."""

from __future__ import annotations

import glob
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

# How the folders begin in which files are until they are whole.
ASIDE = ".being-written-"


@contextmanager
def appearing(path: str) -> Iterator[str]:
    """Yield where to write a file that is at `path` at the end of the block, unless that fails.

    Each of two workers has its own, of which the first was taken for dead, and was not.
    """
    folder = os.path.dirname(path)
    os.makedirs(folder, exist_ok=True)
    aside = os.path.join(tempfile.mkdtemp(prefix=ASIDE, dir=folder), os.path.basename(path))
    yield aside
    os.replace(aside, path)
    os.rmdir(os.path.dirname(aside))


def clear(folder: str) -> None:
    """Remove what workers that died have left in a folder."""
    for aside in glob.glob(os.path.join(glob.escape(folder), f"{ASIDE}*")):
        shutil.rmtree(aside, ignore_errors=True)
