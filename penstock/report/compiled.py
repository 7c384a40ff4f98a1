"""Templates as Jinja has compiled them, kept where Python keeps what it compiles of modules."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import importlib.util
import marshal
import os
import sys
import tempfile
from pathlib import Path

import jinja2
from jinja2.bccache import Bucket


class KeptBeside(jinja2.BytecodeCache):
    """Keeps each template beside its source, below `__pycache__`, for the next process.

    It is for environments that compile alike. As with modules, PYTHONPYCACHEPREFIX says where else,
    PYTHONDONTWRITEBYTECODE keeps anything from being written, and nothing is kept in a folder that
    cannot be written.
    """

    def get_cache_key(self, name: str, filename: str | None = None) -> str:
        """Return the path of what is kept; an empty one where the template is no file."""
        if not filename:
            return ""
        kept = f"{os.path.basename(filename)}.{sys.implementation.cache_tag}"
        return str(Path(importlib.util.cache_from_source(filename)).with_name(kept))

    def get_source_checksum(self, source: str) -> str:
        """Return a digest of a template, and of who compiles it."""
        compilers = [importlib.metadata.version("jinja2"), importlib.util.MAGIC_NUMBER.hex()]
        return hashlib.sha256("\n".join([*compilers, source]).encode()).hexdigest()

    def load_bytecode(self, bucket: Bucket) -> None:
        """Take what is kept, where it was made of this very source."""
        checksum = bucket.checksum.encode()
        with contextlib.suppress(OSError, EOFError, ValueError, TypeError):
            content = Path(bucket.key).read_bytes()
            if content.startswith(checksum):
                bucket.code = marshal.loads(content[len(checksum) :])

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keep a template: the whole of it, or nothing."""
        if sys.dont_write_bytecode or not bucket.key:
            return
        with contextlib.suppress(OSError):
            path = Path(bucket.key)
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
                file.write(bucket.checksum.encode() + marshal.dumps(bucket.code))
            # Whoever may read other files of the folder may read this one.
            os.chmod(file.name, path.parent.stat().st_mode & 0o666)
            os.replace(file.name, path)
