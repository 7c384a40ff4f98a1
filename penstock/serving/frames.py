"""What a server and its workers say to each other: frames over a socket of one machine.

A frame is a header, with the size of the rest, a kind and a number by which an answer is known,
and content: JSON, or the head of a question or an answer and the body as it travels over HTTP. So
the server looks at no row, and what costs time is done where the model is.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass

_HEADER = struct.Struct("<IBQ")
_QUESTION = struct.Struct("<BBBIdII")
_ANSWER = struct.Struct("<HIIIf")

# To a worker: what it is to load, a question, and the wish for its counts.
LOAD, ASK, COUNT = 1, 2, 3
# From a worker: it is ready, or why it never will be; an answer; its counts.
READY, FAILED, ANSWER, COUNTS = 11, 12, 13, 14


@dataclass(frozen=True)
class Frame:
    """One message; `number` is that of the question."""

    kind: int
    number: int
    content: bytes


@dataclass(frozen=True)
class Question:
    """A request for predictions.

    `verb` is one of `protocols.VERBS`. `role` and `epoch` say what it counts for: an index of
    `routes.ROLES`, and the number of the routes; epoch 0 counts for nothing. `deadline` is of the
    machine's monotonic clock. The first `head` bytes of the body are JSON where the rest are
    tensors. With `summarized`, the answer has a summary of its predictions; `compared` is such a
    summary of another model's predictions for the same rows.
    """

    verb: int
    body: bytes
    role: int = 0
    epoch: int = 0
    deadline: float = 0.0
    head: int = 0
    summarized: bool = False
    compared: bytes = b""

    def packed(self) -> bytes:
        """Return the content of its frame."""
        head = _QUESTION.pack(
            self.verb,
            self.role,
            self.summarized,
            self.epoch,
            self.deadline,
            self.head,
            len(self.compared),
        )
        return b"".join((head, self.compared, self.body))

    @classmethod
    def unpacked(cls, content: bytes) -> Question:
        """Return the question that a frame has."""
        verb, role, summarized, epoch, deadline, head, size = _QUESTION.unpack_from(content)
        start = _QUESTION.size + size
        return cls(
            verb=verb,
            body=content[start:],
            role=role,
            epoch=epoch,
            deadline=deadline,
            head=head,
            summarized=bool(summarized),
            compared=content[_QUESTION.size : start],
        )


@dataclass(frozen=True)
class Answer:
    """What came of a question: a status of HTTP, and the body of the answer.

    The first `head` bytes of the body are JSON where the rest are tensors. `seconds` is how long
    the worker took for the batch that it was in.
    """

    status: int
    body: bytes
    rows: int = 0
    head: int = 0
    summary: bytes = b""
    seconds: float = 0.0

    def packed(self) -> bytes:
        """Return the content of its frame."""
        head = _ANSWER.pack(self.status, self.rows, self.head, len(self.summary), self.seconds)
        return b"".join((head, self.summary, self.body))

    @classmethod
    def unpacked(cls, content: bytes) -> Answer:
        """Return the answer that a frame has."""
        status, rows, head, size, seconds = _ANSWER.unpack_from(content)
        start = _ANSWER.size + size
        return cls(status, content[start:], rows, head, content[_ANSWER.size : start], seconds)


def inherited(descriptor: str) -> socket.socket:
    """Return the end of a socket pair that a process was started with."""
    return socket.socket(fileno=int(descriptor))


def framed(kind: int, number: int, content: bytes) -> bytes:
    """Return a message as it is sent."""
    return _HEADER.pack(len(content), kind, number) + content


class Received:
    """The bytes that have come and are no whole frame yet."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def add(self, data: bytes) -> Iterator[Frame]:
        """Take bytes, and give the frames that they end."""
        self._bytes += data
        start, end = 0, len(self._bytes)
        while end - start >= _HEADER.size:
            size, kind, number = _HEADER.unpack_from(self._bytes, start)
            if end - start < _HEADER.size + size:
                break
            content = bytes(self._bytes[start + _HEADER.size : start + _HEADER.size + size])
            start += _HEADER.size + size
            yield Frame(kind, number, content)
        del self._bytes[:start]
