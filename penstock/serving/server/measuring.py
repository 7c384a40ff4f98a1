"""What a server measures for its log: answers since the last time, and what its processes take."""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from penstock.serving.log.measures import LOG, ROUTER, WORKER
from penstock.serving.server.answer_counts import told_of
from penstock.serving.server.models import ServedModel
from penstock.serving.server.recording import Recorder

# Timers may go off a little early; that would make another interval of that little.
_LATER = 0.01


@dataclass(frozen=True)
class Process:
    """A process of a server: of a `kind` of `penstock.serving.log.measures`, maybe of a version."""

    kind: str
    number: int
    version: int | None = None


@dataclass
class Resources:
    """The CPU seconds that processes had taken when they were last looked at."""

    _before: dict[int, float] = field(default_factory=dict)

    def of(self, processes: Iterable[Process]) -> list[dict[str, Any]]:
        """Return what each has taken since the last time; those that have ended are left out."""
        seen, told = {}, []
        for process in processes:
            try:
                cpu, memory = cpu_and_memory(process.number)
            except (OSError, ValueError, IndexError):
                continue
            seen[process.number] = cpu
            told.append(
                {
                    "kind": process.kind,
                    "version": process.version,
                    "process": process.number,
                    "cpu_seconds": max(0.0, cpu - self._before.get(process.number, 0.0)),
                    "memory_bytes": memory,
                }
            )
        self._before = seen
        return told


def cpu_and_memory(process: int) -> tuple[float, int]:
    """Return the CPU seconds that a process has taken, and the bytes of memory that it has.

    Raises:
      OSError: there is no such process.
    """
    folder = Path("/proc", str(process))
    # The name of the program may have spaces and brackets of its own.
    fields = (folder / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2]
    user, system = fields.split()[11:13]
    pages = int((folder / "statm").read_text(encoding="ascii").split()[1])
    cpu = (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
    return cpu, pages * os.sysconf("SC_PAGE_SIZE")


@dataclass
class Measurer:
    """Tells the log of a server every so many seconds what was measured of its models."""

    models: Mapping[str, ServedModel]
    recorder: Recorder
    every: float = 60.0
    _resources: Resources = field(default_factory=Resources)
    _server: str = field(default_factory=lambda: secrets.token_hex(4))
    _began: float = field(default_factory=time.time)
    _since: float = field(default_factory=time.monotonic)

    async def go_on(self) -> None:
        """Measure at full minutes, or whatever `every` is, so that no interval has two spans."""
        while True:
            await asyncio.sleep(self.every - time.time() % self.every + _LATER)
            self.measure()

    def measure(self) -> None:
        """Tell the log what came since the last time."""
        now, at = time.monotonic(), time.time()
        shared = {"time": self._began, "seconds": now - self._since, "server": self._server}
        self._began, self._since = at, now
        own = [Process(ROUTER, os.getpid())]
        if self.recorder.process is not None:
            own.append(Process(LOG, self.recorder.process.pid))
        workers = {name: _workers_of(model) for name, model in self.models.items()}
        every = [*own, *(worker for listed in workers.values() for worker in listed)]
        taken = {entry["process"]: entry for entry in self._resources.of(every)}
        for name, model in self.models.items():
            counts, model.measured = model.measured, {}
            processes = [*own, *workers[name]]
            told = [taken[p.number] for p in processes if p.number in taken]
            self.recorder.measure(
                {
                    "model": name,
                    **shared,
                    "answers": told_of(counts, model.served()),
                    "processes": [self._with_lost(entry, name) for entry in told],
                }
            )

    def _with_lost(self, entry: dict[str, Any], model: str) -> dict[str, Any]:
        """Return what a process took; that of the log has how many requests it lost."""
        if entry["kind"] != LOG:
            return entry
        return {**entry, "log_dropped": self.recorder.take_lost(model)}


def measurers_of(models: Mapping[str, ServedModel], every: float) -> list[Measurer]:
    """Return what measures those models that have a log: one a log."""
    logs: list[Recorder] = []
    for model in models.values():
        if model.recorder is not None and all(model.recorder is not log for log in logs):
            logs.append(model.recorder)
    return [
        Measurer({name: m for name, m in models.items() if m.recorder is log}, log, every)
        for log in logs
    ]


def _workers_of(model: ServedModel) -> list[Process]:
    return [
        Process(WORKER, worker.process.pid, number)
        for number, version in model.versions.items()
        for worker in version.workers
        if worker.process is not None
    ]
