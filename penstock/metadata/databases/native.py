"""ML Metadata's native client in a process of its own, which may be cut off at any time.

The native library holds Python's lock while it waits for a database, has no limit for that, and
crashes when a broken connection is used again. So for databases of servers it is asked in a process
beside this one: by a method's name and a serialized request, with a limit of time. One that died,
lost its connection or took too long is ended, and nothing of it is used again.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import select
import signal
import socket
import subprocess
import sys
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass

from penstock.metadata.databases import native_main

_SLICE_SECONDS = 0.2
_PORTION = 2**20


class LostError(Exception):
    """The native client is gone, and with it what became of a request."""


@dataclass(frozen=True)
class Answer:
    """A serialized response, or the code and the text of an error as ML Metadata numbers them."""

    response: bytes = b""
    code: int = 0
    text: str = ""


class NativeClient:
    """A native client in a process of its own, for one call after another.

    `meanwhile` is called several times a second while an answer is waited for.
    """

    def __init__(self, meanwhile: Callable[[], None]) -> None:
        self._meanwhile = meanwhile
        self._channel, far_end = socket.socketpair()
        lifeline, far_lifeline = socket.socketpair()
        with far_end, far_lifeline:
            watched = far_lifeline.fileno()
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", native_main.__file__, _library(), str(watched)],
                stdin=far_end.fileno(),
                pass_fds=[watched],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                # The terminal's Ctrl-C is for who asks.
                process_group=0,
            )
        self._channel.setblocking(False)
        self._close = weakref.finalize(
            self, _end, self._process, os.getpid(), self._channel, lifeline
        )

    @property
    def process_id(self) -> int:
        """The id of its process."""
        return self._process.pid

    def ask(self, name: str, first: bytes, second: bytes = b"", *, seconds: float) -> Answer:
        """Call a function of the native library; after any error the client cannot be used again.

        Raises:
          LostError: no answer will come, or none came within these seconds.
        """
        encoded = name.encode()
        head = native_main.REQUEST.pack(len(encoded), len(first), len(second))
        deadline = time.monotonic() + seconds
        try:
            self._send(head + encoded + first + second, deadline)
            code, *lengths = native_main.ANSWER.unpack(
                self._receive(native_main.ANSWER.size, deadline)
            )
            response, text = (self._receive(length, deadline) for length in lengths)
        except OSError as error:
            raise LostError(f"its client's process {self._ending()}") from error
        except _TimeIsUp:
            raise LostError(f"it has not answered {name} within {seconds:g} seconds") from None
        return Answer(response, code, text.decode(errors="replace"))

    def close(self) -> None:
        """End the process at once, whatever it does."""
        self._close()

    def _send(self, content: bytes, deadline: float) -> None:
        view = memoryview(content)
        while view:
            self._await(select.POLLOUT, deadline)
            view = view[self._channel.send(view[:_PORTION]) :]

    def _receive(self, length: int, deadline: float) -> bytes:
        parts = []
        while length:
            self._await(select.POLLIN, deadline)
            part = self._channel.recv(min(length, _PORTION))
            if not part:
                raise ConnectionResetError
            parts.append(part)
            length -= len(part)
        return b"".join(parts)

    def _await(self, event: int, deadline: float) -> None:
        poll = select.poll()
        poll.register(self._channel, event)
        while not poll.poll(_SLICE_SECONDS * 1000):
            self._meanwhile()
            if time.monotonic() > deadline:
                raise _TimeIsUp

    def _ending(self) -> str:
        try:
            code = self._process.wait(timeout=1.0)
        except subprocess.TimeoutExpired:
            return "closed its connection"
        return f"was ended by {signal.Signals(-code).name}" if code < 0 else "has ended"


class _TimeIsUp(Exception):
    pass


def _end(process: subprocess.Popen[bytes], owner: int, *ends: socket.socket) -> None:
    for end in ends:
        end.close()
    if os.getpid() == owner:  # and not a copy of this process
        process.kill()
        process.wait()


@functools.cache
def _library() -> str:
    spec = importlib.util.find_spec(native_main.MODULE)
    assert spec is not None
    assert spec.origin is not None
    return spec.origin
