"""Forks that are made before this process starts what no fork of it could use, as TensorFlow."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler
from typing import Any

from penstock.data.parallel.processes import Advance, Child, do, end, fork, outcomes
from penstock.data.parallel.workers import LocalWorkers


class WorkersAhead(LocalWorkers):
    """Forks of this process as it is where their block begins, `at_most` so many.

    What they are to do is not known yet then, so it is pickled for them; what cannot be, is done by
    this process.
    """

    _children: Sequence[Child] = ()

    def __enter__(self) -> WorkersAhead:
        children: list[Child] = []
        if self.count > 1:
            for _ in range(self.count):
                children.append(fork(_serve, children, self.count))
        self._children = children
        return self

    def _results(
        self, work: Any, parts: Sequence[Any], named: Callable[[Any], str], advance: Advance
    ) -> Iterator[Any]:
        given = self._pickled(work, parts) if len(parts) > 1 else None
        if given is None:
            for part in parts:
                yield work(part, advance)
            return
        done = False
        try:
            for child in self._children:
                child.connection.send_bytes(given)
            yield from outcomes(self._children, parts, parts, named, advance)
            done = True
        finally:
            if not done:  # some may still be at parts that nobody waits for
                self._stop()

    def _pickled(self, work: Any, parts: Sequence[Any]) -> bytes | None:
        if not self._children:
            return None
        try:
            ForkingPickler.dumps(parts)
            return bytes(ForkingPickler.dumps(_Work(work)))
        except Exception:  # objects of the user's can raise anything
            return None

    def _stop(self) -> None:
        end(self._children)
        self._children = ()


class _Work:
    """What is to be done with the parts that come after it."""

    def __init__(self, function: Callable[[Any, Advance], Any]) -> None:
        self.function = function


def _serve(connection: Connection) -> None:
    work: Any = None
    while True:
        asked = connection.recv()
        if isinstance(asked, _Work):
            work = asked.function
        else:
            do(work, asked, connection)
