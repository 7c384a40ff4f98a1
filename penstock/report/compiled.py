"""Templates as Jinja has compiled them, kept for the next process."""

from __future__ import annotations

import contextlib
import importlib.metadata
import marshal

import jinja2
from jinja2.bccache import Bucket

from penstock.project import kept


class KeptBeside(jinja2.BytecodeCache):
    """Keeps each template beside its source; for environments that compile alike."""

    def get_cache_key(self, name: str, filename: str | None = None) -> str:
        """Return the path of what is kept; an empty one where the template is no file."""
        return kept.place(filename) if filename else ""

    def get_source_checksum(self, source: str) -> str:
        """Return a digest of a template, and of who compiles it."""
        return kept.checksum(source.encode(), [importlib.metadata.version("jinja2")])

    def load_bytecode(self, bucket: Bucket) -> None:
        """Take what is kept, where it was made of this very source."""
        content = kept.read(bucket.key, bucket.checksum)
        if content is not None:
            with contextlib.suppress(EOFError, ValueError, TypeError):
                bucket.code = marshal.loads(content)

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keep a template."""
        if bucket.key:
            kept.write(bucket.key, bucket.checksum, marshal.dumps(bucket.code))
