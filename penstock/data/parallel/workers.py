"""Who does the parts of a node's work, wherever that is."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import Any, Generic, TypeVar

from penstock.data.parallel.answers import result_of
from penstock.data.parallel.parts import Work, read
from penstock.data.parallel.processes import Advance, available_processes, in_processes
from penstock.project.clusters import Cluster

Part = TypeVar("Part")
Result = TypeVar("Result")
AnyCluster = TypeVar("AnyCluster", bound=Cluster)


class Workers(ABC):
    """Workers that do parts of some work, as many at once as they are.

    They are started when they are first asked for something, and stopped at the end of the block
    that has them; parts that they are at then are given up.
    """

    # How many parts are worth making of work that can be divided as one likes. What a cluster has
    # is not known before it has begun, and it may grow.
    count = sys.maxsize
    # Whether they may be on other machines.
    elsewhere = True

    def map(
        self,
        work: Callable[[Part, Advance], Result],
        parts: Sequence[Part],
        *,
        named: Callable[[Part], str] = str,
        advance: Advance = lambda _: None,
    ) -> Iterator[Result]:
        """Yield what `work` returns for each part, in the order of the parts.

        `work` gets a function to say by how much it has advanced, which calls `advance` in this
        process. `named` says of a part what a worker should do. On a cluster a part whose worker
        dies is done by another, so what it writes should appear at once and at its end.

        Raises:
          PenstockError: a part could not be done, since workers died at it.
          Exception: what `work` raised; that of the first part that failed.
        """
        return self._results(work, parts, named, advance)

    @abstractmethod
    def _results(
        self, work: Any, parts: Sequence[Any], named: Callable[[Any], str], advance: Advance
    ) -> Iterator[Any]:
        """Yield the results of `map`."""

    @abstractmethod
    def _stop(self) -> None:
        """Let go of what was started, if anything was."""

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()


class LocalWorkers(Workers):
    """Forks of this process, `at_most` so many; itself, where it cannot be forked."""

    elsewhere = False

    def __init__(self, at_most: int = sys.maxsize) -> None:
        self.count = min(at_most, available_processes())

    def _results(
        self, work: Any, parts: Sequence[Any], named: Callable[[Any], str], advance: Advance
    ) -> Iterator[Any]:
        return in_processes(work, parts, named=named, advance=advance, at_most=self.count)

    def _stop(self) -> None:
        pass  # forks end with the results that they are for


class ClusterWorkers(Workers, Generic[AnyCluster]):
    """Workers that are sent what they should do, and answer with what came of it."""

    def __init__(self, cluster: AnyCluster) -> None:
        self._cluster = cluster

    def _results(
        self, work: Any, parts: Sequence[Any], named: Callable[[Any], str], advance: Advance
    ) -> Iterator[Any]:
        self._start()
        sent = Work.of(work, self._pickler())
        with closing(self._answers(sent, parts, named)) as answers:
            for answer in answers:
                yield result_of(read(answer, sent.key), self._cluster, advance)

    @abstractmethod
    def _start(self) -> None:
        """Reach the cluster, unless that was done before."""

    @abstractmethod
    def _pickler(self) -> Any:
        """Return the module with the interface of cloudpickle that its workers have."""

    @abstractmethod
    def _answers(self, work: Work, parts: Sequence[Any], named: Callable[[Any], str]) -> Any:
        """Yield what `parts.do` returns for each part, in their order, from a generator.

        Closed early, it gives up the parts that are being done.
        """
