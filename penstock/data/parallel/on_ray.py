"""Parts of a node's work as tasks of a Ray cluster; Ray does a part again whose worker died."""

from __future__ import annotations

import logging
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from penstock.data.parallel.answers import check_answers, result_of
from penstock.data.parallel.parts import Work, read
from penstock.data.parallel.processes import Advance
from penstock.data.parallel.travelling import pickled
from penstock.errors import PenstockError
from penstock.project.clusters import RayOptions

Part = TypeVar("Part")
Result = TypeVar("Result")

_TRIES = 4
# Tasks that are given to Ray before the result of the first is taken, for each of its processors.
_AHEAD = 2


class RayWorkers:
    """The workers of a Ray cluster; `workers.Workers` says how they are used."""

    def __init__(self, options: RayOptions) -> None:
        self._options = options
        self._is_started = False

    @property
    def count(self) -> int:
        """As many as one likes: a cluster may grow with what it is asked for."""
        return sys.maxsize

    def map(
        self,
        work: Callable[[Part, Advance], Result],
        parts: Sequence[Part],
        *,
        named: Callable[[Part], str] = str,
        advance: Advance = lambda _: None,
    ) -> Iterator[Result]:
        """Yield the results in order; rows are counted when a part is done."""
        self._start()
        import ray
        from ray import cloudpickle

        sent = Work.of(work, cloudpickle)
        task = ray.remote(max_retries=_TRIES - 1)(_task())
        shared = ray.put(sent)
        ahead = max(_AHEAD, _AHEAD * int(ray.cluster_resources().get("CPU", 1)))
        further = iter(parts)
        waiting: deque[tuple[Part, Any]] = deque()
        try:
            while True:
                while len(waiting) < ahead and (part := next(further, _NONE)) is not _NONE:
                    waiting.append((part, task.remote(shared, pickled(part, cloudpickle))))
                if not waiting:
                    return
                part, reference = waiting.popleft()
                try:
                    outcome = ray.get(reference)
                except ray.exceptions.RayError as error:
                    raise _told(error, self._options, named(part)) from error
                yield result_of(read(outcome, sent.key), self._options, advance)
        finally:
            for _, reference in waiting:
                ray.cancel(reference, force=True)

    def _start(self) -> None:
        if self._is_started:
            return
        import ray

        address = self._options.address
        if ":" in address:
            check_answers(self._options, address)
        try:
            ray.init(
                address=address,
                log_to_driver=False,
                logging_level=logging.ERROR,
                configure_logging=False,
            )
        except Exception as error:
            raise PenstockError(f"{self._options} could not begin: {_first(error)}") from error
        self._is_started = True

    def __enter__(self) -> RayWorkers:
        return self

    def __exit__(self, *_: object) -> None:
        if self._is_started:
            import ray

            ray.shutdown()
            self._is_started = False


_NONE: Any = object()


def _task() -> Callable[[Work, bytes], bytes]:
    def done(work: Any, part: bytes) -> bytes:
        # Sent by value: a worker without Penstock should be able to say so.
        from penstock.data.parallel.parts import do

        return do(work, part)

    return done


def _told(error: Exception, options: RayOptions, what: str) -> PenstockError:
    """Return an error of Ray's as one of ours, in the words of what it means."""
    import ray

    cause = getattr(error, "cause", None)
    if isinstance(cause, ImportError) or "No module named" in str(error):
        absent = str(cause or error).strip().splitlines()[-1]
        return PenstockError(
            f"a worker of {options} could not {what}: {absent}",
            hint="Workers need Penstock with the same extras in the Python that Ray was started "
            "with.",
        )
    if isinstance(error, ray.exceptions.WorkerCrashedError | ray.exceptions.OutOfMemoryError):
        return PenstockError(
            f"{options} should {what}, and its workers ended at it, {_TRIES} times: "
            f"{_first(error)}",
            hint="Is there enough memory for them?",
        )
    return PenstockError(f"{options} could not {what}: {_first(error)}")


def _first(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:500]
