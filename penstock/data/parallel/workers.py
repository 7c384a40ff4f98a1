"""Where the parts of a node's work are done: in processes of this machine, or on a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar

from penstock.data.parallel.processes import Advance, available_processes, in_processes
from penstock.project.clusters import Cluster, SparkOptions

Part = TypeVar("Part")
Result = TypeVar("Result")


class Workers(Protocol):
    """Workers that do parts of some work, as many at once as they are.

    They are started when they are first asked for something, and stopped at the end of the block
    that has them; parts that they are at then are given up.
    """

    @property
    def count(self) -> int:
        """How many parts are worth making of some work that can be divided as one likes."""
        ...

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
        process. `named` says of a part what a worker should do. A part whose worker dies is done by
        another, where there is one, so what it writes should appear at once and at its end.

        Raises:
          PenstockError: a part could not be done, since workers died at it.
          Exception: what `work` raised; that of the first part that failed.
        """
        ...

    def __enter__(self) -> Workers: ...

    def __exit__(self, *_: object) -> None: ...


class LocalWorkers:
    """Forks of this process; this process itself, where it cannot be forked."""

    @property
    def count(self) -> int:
        """The processors that this process may use."""
        return available_processes()

    def map(
        self,
        work: Callable[[Part, Advance], Result],
        parts: Sequence[Part],
        *,
        named: Callable[[Part], str] = str,
        advance: Advance = lambda _: None,
    ) -> Iterator[Result]:
        """Yield the results in order; the death of a fork is an error."""
        yield from in_processes(work, parts, named=named, advance=advance)

    def __enter__(self) -> LocalWorkers:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def workers_of(cluster: Cluster | None) -> Workers:
    """Return the workers of a cluster; without one those of this machine."""
    if cluster is None:
        return LocalWorkers()
    if isinstance(cluster, SparkOptions):
        from penstock.data.parallel.on_spark import SparkWorkers

        return SparkWorkers(cluster)
    from penstock.data.parallel.on_ray import RayWorkers

    return RayWorkers(cluster)
