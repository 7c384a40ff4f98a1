"""Nurseries of tests are copies of two daemons, which import once what all of them need."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

from penstock.execution.daemon import asking
from penstock.execution.workers import nursery
from penstock.execution.workers.nursery import Nursery

_IDLE_SECONDS = 1800.0


@dataclass
class WarmNurseries:
    """The daemons of one process of tests: one for who preloads nothing, one for all others.

    Each is started when it is first asked. While `cold`, nurseries are started as ever.
    """

    folder: Path
    cold: Callable[[], bool]
    lenders: dict[bool, asking.Lender] = field(default_factory=dict)

    def lend(self, preload: Sequence[str], log_path: str) -> Nursery | None:
        """Return a copy of a daemon, or None where it cannot be one."""
        heavy = bool(preload)
        if heavy not in self.lenders:
            project = self.folder / ("heavy" if heavy else "light")
            project.mkdir()
            asking.start(str(project), (), _IDLE_SECONDS)
            self.lenders[heavy] = asking.Lender(str(project))
        answer = self.lenders[heavy].ask(preload, log_path)
        return answer if isinstance(answer, Nursery) else None

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Have all that starts nurseries here be lent them, and end the daemons afterwards."""
        with mock.patch.object(nursery, "start_nursery", self._instead_of(nursery.start_nursery)):
            yield
        for lender in self.lenders.values():
            asking.stop(lender.project)

    def _instead_of(self, start: Callable[..., Nursery]) -> Callable[..., Nursery]:
        def started(preload: Sequence[str], log_path: str, *, fork: bool = False) -> Nursery:
            lent = None if fork or self.cold() else self.lend(preload, log_path)
            return lent or start(preload, log_path, fork=fork)

        return started
