"""The process of ML Metadata's native client: it does what it is asked through its standard input.

It is started as a file by itself, so that nothing but the native library is loaded: that takes some
20 ms. A request is the lengths of its three parts and then these: a method's name, and its one or
two serialized arguments. An answer is a code of ML Metadata's, two lengths, the serialized response
and an error's text. The process ends when the other end of its standard input is closed.
"""

from __future__ import annotations

import fcntl
import importlib.util
import os
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


def main(library: str) -> None:
    """Answer requests until there are no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    spec = importlib.util.spec_from_file_location(MODULE, library)
    assert spec is not None
    assert spec.loader is not None
    extension = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(extension)
    native: Any = extension.metadata_store
    fcntl.fcntl(_CHANNEL, fcntl.F_SETOWN, os.getpid())
    flags = fcntl.fcntl(_CHANNEL, fcntl.F_GETFL)
    store: Any = None
    while True:
        lengths = REQUEST.unpack(_read(REQUEST.size))
        name, first, second = (_read(length) for length in lengths)
        # Nothing comes but the end of whoever waits for the answer, and the system's signal about
        # it ends this process: the native library keeps Python from seeing anything else.
        fcntl.fcntl(_CHANNEL, fcntl.F_SETFL, flags | os.O_ASYNC)
        if name.decode() == CREATE:
            code, content, text = 0, b"", b""
            try:
                store = native.CreateMetadataStore(first, second)
            except RuntimeError as error:
                code, text = NOT_OPENED, str(error).encode(errors="replace")
        else:
            content, text, code = getattr(native, name.decode())(store, first)
        fcntl.fcntl(_CHANNEL, fcntl.F_SETFL, flags)
        _write(ANSWER.pack(code, len(content), len(text)) + content + text)


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
    main(sys.argv[1])
