"""The process of ML Metadata's native client: it does what it is asked through its standard input.

It is started as a file by itself, so that nothing but the native library is loaded: that takes some
20 ms. A request is the lengths of its three parts and then these: a method's name, and its one or
two serialized arguments. An answer is a code of ML Metadata's, two lengths, the serialized response
and an error's text. The process ends when the other end of its standard input is closed, or that of
its lifeline, a socket that nothing is ever sent through.
"""

from __future__ import annotations

import fcntl
import importlib.util
import os
import select
import signal
import struct
import sys
from typing import Any

REQUEST = struct.Struct("<III")
ANSWER = struct.Struct("<iII")
CREATE = "CreateMetadataStore"
# ML Metadata numbers its errors from 1 on; this is one that it raises as it is opened.
NOT_OPENED = -1
MODULE = "ml_metadata.metadata_store.pywrap.metadata_store_extension"
_CHANNEL = 0


def main(library: str, lifeline: int) -> None:
    """Answer requests until there are no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    spec = importlib.util.spec_from_file_location(MODULE, library)
    assert spec is not None
    assert spec.loader is not None
    extension = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(extension)
    native: Any = extension.metadata_store
    _end_with(lifeline)
    store: Any = None
    while True:
        lengths = REQUEST.unpack(_read(REQUEST.size))
        name, first, second = (_read(length) for length in lengths)
        if name.decode() == CREATE:
            code, content, text = 0, b"", b""
            try:
                store = native.CreateMetadataStore(first, second)
            except RuntimeError as error:
                code, text = NOT_OPENED, str(error).encode(errors="replace")
        else:
            content, text, code = getattr(native, name.decode())(store, first)
        _write(ANSWER.pack(code, len(content), len(text)) + content + text)


def _end_with(lifeline: int) -> None:
    """End when the other end is closed, by the system's signal about it.

    Whoever asks may die while the native library works, which keeps Python from seeing anything.
    The signal may come late for what was sent and has been read: so it is never about requests.
    """
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)
    watch = select.poll()
    watch.register(lifeline, 0)
    if watch.poll(0):  # it was closed before
        os._exit(0)


def _read(length: int) -> bytes:
    parts = []
    while length:
        part = os.read(_CHANNEL, min(length, 2**20))
        if not part:
            os._exit(0)
        parts.append(part)
        length -= len(part)
    return b"".join(parts)


def _write(content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(_CHANNEL, view) :]


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
