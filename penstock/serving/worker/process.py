"""The process of a worker: a socket with questions on one side, a model on the other.

Whatever has come while the model was busy is asked about at once, so the more there is to do, the
larger are the batches. Nothing of the user's folder can be imported here.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from penstock.errors import PenstockError
from penstock.serving.frames import (
    ANSWER,
    ASK,
    COUNT,
    COUNTS,
    FAILED,
    READY,
    Frame,
    Question,
    Received,
    framed,
    inherited,
)
from penstock.serving.protocols.form import Served
from penstock.serving.worker.answering import Answering
from penstock.serving.worker.counting import Counts
from penstock.serving.worker.warming import warm

_PIECE = 1 << 20


def serve(channel: socket.socket) -> None:
    """Answer questions until the server hangs up."""
    received = Received()
    frames: list[Frame] = []
    while not frames:
        frames += _arrived(channel, received)
    order = json.loads(frames.pop(0).content)
    try:
        answering = _loaded(order)
    except Exception as error:  # a framework may raise anything
        channel.sendall(framed(FAILED, 0, _reason(error).encode()))
        return
    channel.sendall(framed(READY, 0, json.dumps(_facts(answering)).encode()))
    wait, most = order["batch_seconds"], order["batch_requests"]
    while True:
        while not frames:
            frames += _arrived(channel, received)
        frames += _more(channel, received, wait if len(frames) < most else 0)
        batch, frames = frames[:most], frames[most:]
        _answer(channel, batch, answering)


def _loaded(order: Mapping[str, Any]) -> Answering:
    from penstock.models import load_model

    model = load_model(order["path"], trusted=tuple(order["trusted"]))
    served = Served(order["name"], order["version"], model.signature)
    warm(model)
    return Answering(model, served, order["most_rows"], Counts())


def _reason(error: Exception) -> str:
    if isinstance(error, PenstockError):
        return str(error)
    return f"{type(error).__name__}: {str(error).strip()[:500]}"


def _facts(answering: Answering) -> dict[str, Any]:
    model = answering.model
    signature = model.signature and model.signature.to_json()
    example = model.example.slice(0, 1).to_pylist() if model.example is not None else []
    return {
        "flavor": model.flavor,
        "signature": signature,
        "example": json.loads(json.dumps(example[0], default=str)) if example else None,
    }


def _arrived(channel: socket.socket, received: Received) -> list[Frame]:
    data = channel.recv(_PIECE)
    if not data:
        raise EOFError
    return list(received.add(data))


def _more(channel: socket.socket, received: Received, wait: float) -> list[Frame]:
    """Return what is there already, or comes within a time."""
    frames: list[Frame] = []
    until = time.monotonic() + wait
    while True:
        left = max(0.0, until - time.monotonic())
        ready, _, _ = select.select([channel], [], [], left)
        if not ready:
            return frames
        frames += _arrived(channel, received)
        if not left:
            return frames


def _answer(channel: socket.socket, frames: list[Frame], answering: Answering) -> None:
    asking = [frame for frame in frames if frame.kind == ASK]
    questions = [Question.unpacked(frame.content) for frame in asking]
    started = time.perf_counter()
    answers = answering.answers(questions) if questions else []
    seconds = time.perf_counter() - started
    said = [
        framed(ANSWER, frame.number, replace(answer, seconds=seconds).packed())
        for frame, answer in zip(asking, answers, strict=True)
    ]
    said += [
        framed(COUNTS, frame.number, answering.counts.packed(*_resources()))
        for frame in frames
        if frame.kind == COUNT
    ]
    channel.sendall(b"".join(said))


def _resources() -> tuple[float, int]:
    """Return the CPU seconds that the process took, and the memory that it has."""
    with open("/proc/self/statm", encoding="ascii") as file:
        pages = int(file.read().split()[1])
    return time.process_time(), pages * os.sysconf("SC_PAGE_SIZE")


def main(descriptor: str) -> None:
    """Serve on an inherited socket."""
    # Who stops a server from a terminal stops its process group; the server ends its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with inherited(descriptor) as channel, suppress(EOFError, ConnectionError):
        serve(channel)


if __name__ == "__main__":
    main(*sys.argv[1:])
