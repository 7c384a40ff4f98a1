"""How much a server takes on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """The bounds of a server, for each model.

    A version has `workers` processes. `batch_requests` are asked about at once; a request waits
    `batch_seconds` for others, by default for none: what comes while the model is busy is the next
    batch. A request may have a body of `body_bytes` and `rows` rows, and waits `request_seconds`
    for its answer; all bodies together may have as many bytes as `bodies` of the longest. More than
    `queue` at a time are refused; `shadow_queue` is that of copies. Loading and warming up may take
    `load_seconds`.
    """

    workers: int = 1
    batch_requests: int = 256
    batch_seconds: float = 0.0
    body_bytes: int = 16 << 20
    bodies: int = 64
    rows: int = 10_000
    request_seconds: float = 30.0
    queue: int = 1024
    shadow_queue: int = 64
    load_seconds: float = 300.0
