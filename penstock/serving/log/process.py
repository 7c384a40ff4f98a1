"""The process that keeps the log: what a server tells it becomes rows in files.

It has its own process, of lower priority, so that neither reading bodies nor writing files takes
time of an answer, and none is lost with it.
"""

from __future__ import annotations

import json
import logging
import os
import select
import signal
import socket
import struct
import sys
import time
from collections import Counter
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import Any

from penstock.models.signature import Signature
from penstock.serving.frames import Frame, Received, framed, inherited
from penstock.serving.log.measures import measures_of
from penstock.serving.log.policy import LogPolicy, span_at
from penstock.serving.log.rows import Answered, rows_of
from penstock.serving.log.writing import LogFiles, keep_key, key_of, reason_of

# To the process: its policy, the signature of a version, a request that was answered, and what
# was measured of a model. From it: how many requests of each model are settled, and lost of them.
POLICY, SIGNATURE, ANSWERED, MEASURED = 31, 32, 33, 34
SETTLED = 41
_PIECE = 1 << 20
_LOOK_SECONDS = 1.0
# Requests that come within so long are read together, which costs a tenth.
_GATHER_SECONDS = 0.05
_MOST_AT_ONCE = 8 << 20
_SIZES = struct.Struct("<II")
_FACTS = tuple(f.name for f in fields(Answered) if f.name not in ("body", "summary"))
_log = logging.getLogger("penstock.serving")


def packed(answered: Answered) -> bytes:
    """Return what is told of a request as the content of a frame."""
    import orjson

    facts = [getattr(answered, name) for name in _FACTS]
    head = orjson.dumps(facts)
    sizes = _SIZES.pack(len(head), len(answered.summary))
    return b"".join((sizes, head, answered.summary, answered.body))


def unpacked(content: bytes) -> Answered:
    """Return what `packed` made."""
    import orjson

    head, summary = _SIZES.unpack_from(content)
    start = _SIZES.size
    facts = dict(zip(_FACTS, orjson.loads(content[start : start + head]), strict=True))
    start += head
    return Answered(
        **facts, summary=content[start : start + summary], body=content[start + summary :]
    )


class Keeping:
    """What a log is told, and the files that it makes of that."""

    def __init__(self, policy: LogPolicy) -> None:
        self.files = LogFiles(policy)
        self._policy = policy
        self._key = key_of(Path(policy.folder)) if policy.hashed else b""
        self._signatures: dict[tuple[str, int], Signature | None] = {}
        self._unread: list[Answered] = []
        self._said: set[str] = set()
        self._trouble = ""

    def take(self, frame: Frame) -> None:
        """Take what the server tells."""
        if frame.kind == SIGNATURE:
            entry = json.loads(frame.content)
            signature = entry["signature"]
            self._signatures[entry["model"], entry["version"]] = (
                None if signature is None else Signature.from_json(signature)
            )
        elif frame.kind == ANSWERED:
            self._unread.append(unpacked(frame.content))
        elif frame.kind == MEASURED:
            entry = json.loads(frame.content)
            self.files.add_measures(entry["model"], entry["time"], measures_of(entry))

    def read(self) -> None:
        """Make rows of the requests that were taken, those of a kind together."""
        kinds: dict[Any, list[Answered]] = {}
        for one in self._unread:
            span = span_at(one.at, self._policy.span)
            kinds.setdefault((one.model, one.version, one.verb, span), []).append(one)
        self._unread = []
        for several in kinds.values():
            if not self._add(several):
                for one in several:
                    self._add([one])

    def _add(self, several: list[Answered]) -> bool:
        first = several[0]
        signature = self._signatures.get((first.model, first.version))
        try:
            rows = rows_of(several, signature, self._policy, self._key)
        except Exception as error:  # one request that is not kept should not lose others
            if len(several) == 1:
                self.files.lose(first.model, 1)
                self._say_once(f"a request for {first.model} is not logged: {error}")
            return len(several) == 1
        self.files.add(first.model, first.at, rows, len(several))
        return True

    def settled(self) -> dict[str, tuple[int, int]]:
        """Return how many requests of each model were settled since this was asked.

        The second number is how many of them are lost; the others are in files.
        """
        settled, self.files.settled = self.files.settled, Counter()
        lost, self.files.lost = self.files.lost, Counter()
        return {model: (count, lost[model]) for model, count in settled.items()}

    def write(self) -> None:
        """Write what is held; where that cannot be, it is said, and held for the next time."""
        folder = self._policy.folder
        try:
            self.files.write()
            if self._policy.hashed:
                keep_key(Path(folder), self._key)
        except OSError as error:
            trouble = f"the log {folder} cannot be written: {reason_of(error)}"
            if trouble != self._trouble:
                _log.warning("%s", trouble)
            self._trouble = trouble
        else:
            if self._trouble:
                _log.warning("the log %s can be written again", folder)
            self._trouble = ""

    def _say_once(self, trouble: str) -> None:
        if trouble not in self._said and len(self._said) < 100:
            self._said.add(trouble)
            _log.warning("%s", trouble)


def keep(channel: socket.socket) -> None:
    """Keep the log until the server hangs up, and write what is held then."""
    received = Received()
    keeping: Keeping | None = None
    is_open = True
    while is_open:
        data, is_open = _arrived(channel)
        for frame in received.add(data):
            if frame.kind == POLICY:
                keeping = _begun(LogPolicy.from_json(json.loads(frame.content)))
            elif keeping is not None:
                keeping.take(frame)
        if keeping is None:
            continue
        keeping.read()
        if keeping.files.is_due():
            keeping.write()
        if settled := keeping.settled():
            with suppress(ConnectionError):  # what a killed server has told is read to its end
                channel.sendall(told(SETTLED, settled))
    if keeping is not None:
        keeping.write()


def _arrived(channel: socket.socket) -> tuple[bytes, bool]:
    """Return what has come, or comes within a while, and whether more may."""
    ready, _, _ = select.select([channel], [], [], _LOOK_SECONDS)
    if ready:
        time.sleep(_GATHER_SECONDS)
    pieces: list[bytes] = []
    size = 0
    while ready and size < _MOST_AT_ONCE:
        try:
            piece = channel.recv(_PIECE)
        except ConnectionResetError:  # the server has left something unread, and is gone
            continue
        if not piece:
            return b"".join(pieces), False
        pieces.append(piece)
        size += len(piece)
        ready, _, _ = select.select([channel], [], [], 0)
    return b"".join(pieces), True


def _begun(policy: LogPolicy) -> Keeping:
    """Return what keeps a log, once its folder can be written if it has to have a key."""
    said = False
    while True:
        try:
            return Keeping(policy)
        except OSError as error:
            if not said:
                _log.warning("the log %s cannot be written: %s", policy.folder, reason_of(error))
            said = True
            time.sleep(_LOOK_SECONDS)


def told(kind: int, content: Any) -> bytes:
    """Return a frame for the process."""
    return framed(kind, 0, content if isinstance(content, bytes) else json.dumps(content).encode())


def main(descriptor: str) -> None:
    """Keep the log of a server, told on an inherited socket."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with suppress(OSError):
        os.nice(10)
    logging.basicConfig(format="%(message)s", level=logging.INFO)
    with inherited(descriptor) as channel, suppress(ConnectionError):
        keep(channel)


if __name__ == "__main__":
    main(*sys.argv[1:])
