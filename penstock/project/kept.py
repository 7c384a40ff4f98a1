"""What was made of a source file, kept where Python keeps what it compiles of modules.

As with modules, PYTHONPYCACHEPREFIX says where else, PYTHONDONTWRITEBYTECODE keeps anything from
being written, and nothing is kept in a folder that cannot be written.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path


def place(source: str, kind: str = "") -> str:
    """Return the path of what is kept of a source file."""
    name = f"{os.path.basename(source)}.{sys.implementation.cache_tag}{kind}"
    return str(Path(importlib.util.cache_from_source(source)).with_name(name))


def checksum(source: bytes, made_by: Iterable[str]) -> str:
    """Return a digest of a source, and of who makes something of it."""
    makers = "\n".join([*made_by, importlib.util.MAGIC_NUMBER.hex(), ""])
    return hashlib.sha256(makers.encode() + source).hexdigest()


def read(path: str, of: str) -> bytes | None:
    """Return what is kept, where it was made of the source with a checksum."""
    try:
        content = Path(path).read_bytes()
    except OSError:
        return None
    return content[len(of) :] if content.startswith(of.encode()) else None


def write(path: str, of: str, content: bytes) -> None:
    """Keep what was made: the whole of it, or nothing."""
    if sys.dont_write_bytecode:
        return
    folder = os.path.dirname(path)
    with contextlib.suppress(OSError):
        os.makedirs(folder, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, delete=False) as file:
            file.write(of.encode() + content)
        # Whoever may read other files of the folder may read this one.
        os.chmod(file.name, os.stat(folder).st_mode & 0o666)
        os.replace(file.name, path)
