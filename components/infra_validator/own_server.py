"""A model in a process of the prediction server, watched from outside: seconds, memory, answers."""

from __future__ import annotations

import asyncio
import base64
import json
import math
import os
import resource
import signal
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from penstock.components.infra_validator.outcome import Measured, Outcome, no_numbers
from penstock.serving import protocols
from penstock.serving.frames import Question
from penstock.serving.protocols.form import BASE64
from penstock.serving.routes import Servable
from penstock.serving.server.limits import Limits
from penstock.serving.server.workers import LoadError, Worker

_LOOK_SECONDS = 0.01
# Beyond what is watched: threads' stacks, and what frameworks reserve and never use.
_RESERVED_BYTES = 4 << 30
# Where no limit is given, this share of the memory that is free belongs to the model.
_SHARE_OF_FREE = 0.9
_PATIENCE = 300.0


@dataclass(frozen=True)
class Bounds:
    """How long a model may load and answer for a row, and how much memory it may have."""

    loading_seconds: float
    prediction_seconds: float | None
    memory_bytes: float | None


def try_to_serve(servable: Servable, name: str, rows: pa.Table | None, bounds: Bounds) -> Outcome:
    """Load a model in a process of its own, and ask it about rows, one after the other."""
    return asyncio.run(_served(servable, name, rows, bounds))


async def _served(servable: Servable, name: str, rows: pa.Table | None, bounds: Bounds) -> Outcome:
    limits = Limits(load_seconds=bounds.loading_seconds)
    worker = Worker(name, servable, limits, on_end=lambda _: None)
    patience = bounds.prediction_seconds or _PATIENCE
    seconds = bounds.loading_seconds + (rows.num_rows if rows is not None else 0) * patience
    watch = _Watch(worker, bounds.memory_bytes, seconds)
    watching = asyncio.create_task(watch.look())
    started = time.monotonic()
    slowest = 0.0
    try:
        try:
            await worker.start()
        except LoadError as error:
            return watch.judged(Outcome(f"The model does not load: {error}."))
        loaded = time.monotonic() - started
        for number, row in enumerate(_bodies(rows)):
            asked = time.monotonic()
            outcome = await _asked(worker, row, number, bounds)
            slowest = max(slowest, time.monotonic() - asked)
            if outcome.reason:
                return watch.judged(outcome)
        measured = Measured(loaded, slowest, watch.most)
        return watch.judged(Outcome(measured=measured))
    finally:
        watching.cancel()
        await worker.stop()


async def _asked(worker: Worker, body: bytes, number: int, bounds: Bounds) -> Outcome:
    patience = bounds.prediction_seconds or _PATIENCE
    try:
        answering = worker.ask(Question(protocols.ROWS, body))
        answer = await asyncio.wait_for(answering, patience)
    except TimeoutError:
        return Outcome(f"The model needs more than {patience:g} s for row {number}.")
    if not worker.is_ready:
        return Outcome(
            f"The model ends its server when it is asked about row {number}{_how(worker)}."
        )
    content = json.loads(answer.body)
    if answer.status >= 400:
        said = content.get("error", "") if isinstance(content, Mapping) else content
        return Outcome(f"The model does not answer row {number}: {said}", is_final=True)
    if output := no_numbers(content):
        return Outcome(
            f"The model's answer to row {number} has no number in {output!r}: "
            f"{json.dumps(content):.200}",
            is_final=True,
        )
    return Outcome()


def _how(worker: Worker) -> str:
    assert worker.process is not None
    code = worker.process.wait()
    if code >= 0:
        return f", with exit code {code}"
    with suppress(ValueError):
        return f", by signal {-code} ({signal.Signals(-code).name})"
    return f", by signal {-code}"


def _bodies(rows: pa.Table | None) -> Sequence[bytes]:
    """Return each row as the body of a request."""
    if rows is None:
        return []
    return [json.dumps([row], default=_as_json).encode() for row in _plain(rows)]


def _plain(rows: pa.Table) -> list[dict[str, Any]]:
    return [{name: _finite(value) for name, value in row.items()} for row in rows.to_pylist()]


def _finite(value: Any) -> Any:
    """Return a value as JSON has it, which has no NaN: to many that is a missing number."""
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _as_json(value: Any) -> Any:
    if isinstance(value, bytes):
        return {BASE64: base64.b64encode(value).decode()}
    return str(value)


class _Watch:
    """Looks at the memory of a process, and ends it when that is more than it may have."""

    def __init__(self, worker: Worker, limit: float | None, seconds: float) -> None:
        self.most = 0
        self.is_over = False
        self._worker = worker
        self._seconds = seconds
        self._is_given = limit is not None
        self._limit = limit if limit is not None else _SHARE_OF_FREE * _free_bytes()

    async def look(self) -> None:
        while self._worker.process is None:
            await asyncio.sleep(0)
        process = self._worker.process
        bound_process(process.pid, self._limit, self._seconds)
        while process.poll() is None:
            self.most = max(self.most, _resident_bytes(process.pid))
            if self.most > self._limit:
                self.is_over = True
                process.kill()
                return
            await asyncio.sleep(_LOOK_SECONDS)

    def judged(self, outcome: Outcome) -> Outcome:
        """Return the outcome, or that the process had too much memory, which says more."""
        if not self.is_over:
            return outcome
        may = "may take" if self._is_given else "the machine has no more than"
        return Outcome(
            f"The process took {self.most / 1e6:,.0f} MB of memory, and {may} "
            f"{self._limit / 1e6:,.0f} MB.",
            is_final=True,
        )


def bound_process(process_id: int, memory_bytes: float, seconds: float) -> None:
    """Have the kernel bound a process, where nobody looks, or no more.

    Memory may be taken too fast to be seen; one that turns in circles would go on when whoever
    watches it was killed. It is ended before others where the machine has no memory left.
    """
    most = int(memory_bytes) + _RESERVED_BYTES
    work = int((os.cpu_count() or 1) * seconds) + 1
    with suppress(OSError):
        resource.prlimit(process_id, resource.RLIMIT_DATA, (most, most))
        resource.prlimit(process_id, resource.RLIMIT_CPU, (work, work))
    with suppress(OSError), open(f"/proc/{process_id}/oom_score_adj", "w") as file:
        file.write("1000")


def _resident_bytes(process_id: int) -> int:
    """Return the most memory that a process has had, 0 where nobody can say."""
    with suppress(OSError), open(f"/proc/{process_id}/status", encoding="ascii") as file:
        for line in file:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0


def _free_bytes() -> int:
    with open("/proc/meminfo", encoding="ascii") as file:
        known = {line.partition(":")[0]: line.split()[1] for line in file}
    free = int(known.get("MemAvailable", known["MemTotal"])) * 1024
    with suppress(OSError, ValueError), open("/sys/fs/cgroup/memory.max", encoding="ascii") as file:
        return min(free, int(file.read()))
    return free
