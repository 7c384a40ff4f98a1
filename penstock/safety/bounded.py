"""Small files of others: read up to a bound, whatever they turn out to be.

A device, or a file of many gigabytes, has no end that a program could wait for; a pipe may have no
beginning; and JSON can be nested more deeply than Python's own reader can follow.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from typing import IO, Any

from penstock.errors import DataError

MOST_BYTES = 64 * 2**20
LONGEST_LINE = 256 * 2**20
_HINT = "Is it the right file?"


def read_text(
    path: str | os.PathLike[str], *, most_bytes: int = MOST_BYTES, pipes: bool = False
) -> str:
    """Return the text of a file in UTF-8; `pipes` are waited for where a user may name one.

    Raises:
      DataError: it has more bytes, or is no file.
      OSError, UnicodeDecodeError: those of reading it.
    """
    with open(path, "rb", opener=None if pipes else _plain_descriptor) as file:
        content = file.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise DataError(
            f"expected a text of up to {most_bytes:,} bytes, and there are more",
            path=os.fspath(path),
            hint=_HINT,
        )
    return content.decode()


def parse_json(text: str) -> Any:
    """Return what a text is as JSON.

    Raises:
      ValueError: it is none, or nested too deeply.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def lines_of(file: IO[bytes], path: str, *, longest: int = LONGEST_LINE) -> Iterator[bytes]:
    """Yield the lines of a file.

    Raises:
      DataError: one has more bytes.
    """
    number = 0
    while line := file.readline(longest + 1):
        number += 1
        if len(line) > longest:
            raise DataError(
                f"a line has more than {longest:,} bytes", path=path, line=number, hint=_HINT
            )
        yield line


def _plain_descriptor(path: str, flags: int) -> int:
    descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise DataError("expected a file, got a folder, a pipe or a device", path=path, hint=_HINT)
