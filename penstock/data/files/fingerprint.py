"""A fingerprint of input files by their content.

TFX looks at the number of files, their bytes and their modification times in whole seconds, so
that it misses an edit within a second and sees one in a mere copy. Here only names and content
count. Of files in object stores it is what the store says of their content: its ETag, and the
modification time of files in stores that have none.
"""

from __future__ import annotations

import hashlib
import os
import posixpath
from collections.abc import Iterable

from penstock.data.files import remote
from penstock.errors import DataError


def file_digest(path: str) -> str:
    """Return the SHA-256 of a file's content, in hex."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"cannot read an input file: {error.strerror}", path=path) from error


def fingerprint_files(base: str, paths: Iterable[str]) -> str:
    """Return a fingerprint of files: their content, and their names relative to `base`.

    It does not depend on modification times, on the order of `paths`, or on where `base` is.
    """
    if remote.is_remote(base):
        return _of_remote_files(base, frozenset(paths))
    named_paths = sorted((os.path.relpath(path, base).replace(os.sep, "/"), path) for path in paths)
    whole = hashlib.sha256()
    total = 0
    for name, path in named_paths:
        total += os.path.getsize(path)
        whole.update(f"{len(name)}:{name}:{file_digest(path)}\n".encode())
    return f"files:{len(named_paths)},bytes:{total},sha256:{whole.hexdigest()}"


def _of_remote_files(base: str, urls: frozenset[str]) -> str:
    # No more is listed than the folder that all of them are in.
    common = posixpath.commonprefix([*urls]).rpartition("/")[0] if urls else base
    files = {remote.relative(base, f.url): f for f in remote.list_files(common) if f.url in urls}
    named_files = sorted(files.items())
    whole = hashlib.sha256()
    for name, file in named_files:
        whole.update(f"{len(name)}:{name}:{file.size}:{remote.content_version(file)}\n".encode())
    total = sum(file.size for _, file in named_files)
    return f"files:{len(named_files)},bytes:{total},sha256:{whole.hexdigest()}"
