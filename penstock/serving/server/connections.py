"""Connections that may not be held for nothing: bounds on all that is no body."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# What comes before a body, after it, or between its chunks.
_MOST_BYTES = 1 << 16
# Where the process stood still, what came meanwhile is read before a time is said to be over.
_GRACE_SECONDS = 0.05


class BoundedConnection(HttpToolsProtocol):
    """A connection of HTTP whose heads are bounded in bytes, and in time.

    Whoever opens one has `patience` seconds until the head of a request is there, and so has who
    was answered before all of a body came. More than 64 KiB and what is read at once, that neither
    end a head nor are a part of a body, are refused.
    """

    def __init__(self, *arguments: Any, patience: float, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._patience = patience
        self._deadline: asyncio.TimerHandle | None = None
        self._is_further = False
        self._bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._wait_no_longer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what has come, as far as it leads anywhere."""
        self._is_further = False
        super().data_received(data)
        if self.transport.is_closing():
            return
        self._bytes = 0 if self._is_further else self._bytes + len(data)
        if self._bytes > _MOST_BYTES:
            self._refuse(
                b"431 Request Header Fields Too Large",
                b"a request may have %d bytes before its body" % _MOST_BYTES,
            )
        elif self._is_idle and self._deadline is None:
            self._wait()

    def on_headers_complete(self) -> None:
        """Begin with a request."""
        self._is_further = True
        self._wait_no_longer()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a part of a body."""
        self._is_further = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End a request."""
        self._is_further = True
        super().on_message_complete()

    @property
    def _is_idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _wait(self) -> None:
        self._deadline = self.loop.call_later(self._patience, self._give_up)

    def _wait_no_longer(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def timeout_keep_alive_handler(self) -> None:
        """Close a connection that nobody has used for a while."""
        close = super().timeout_keep_alive_handler
        self.timeout_keep_alive_task = self.loop.call_later(_GRACE_SECONDS, close)

    def _give_up(self) -> None:
        self._deadline = self.loop.call_later(_GRACE_SECONDS, self._give_up_at_last)

    def _give_up_at_last(self) -> None:
        self._deadline = None
        if self._is_idle and not self.transport.is_closing():
            self._refuse(b"408 Request Timeout", b"the head of the request did not come")

    def _refuse(self, status: bytes, reason: bytes) -> None:
        # Otherwise an answer has begun, or was given before all of its request came.
        if self.cycle is None or (self.cycle.response_complete and not self.cycle.more_body):
            body = b'{"error": "%s"}' % reason
            self.transport.write(
                b"HTTP/1.1 %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\n"
                b"connection: close\r\n\r\n%s" % (status, len(body), body)
            )
        self.transport.close()
