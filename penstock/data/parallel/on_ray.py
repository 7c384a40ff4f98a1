"""Parts of a node's work as tasks of a Ray cluster; Ray does a part again whose worker died."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from penstock.data.parallel.answers import check_answers
from penstock.data.parallel.parts import Work
from penstock.data.parallel.travelling import pickled
from penstock.data.parallel.workers import ClusterWorkers
from penstock.errors import PenstockError
from penstock.project.clusters import RayOptions

_TRIES = 4
# Tasks that are given to Ray before the result of the first is taken, for each of its processors.
_AHEAD = 2


class RayWorkers(ClusterWorkers[RayOptions]):
    """The workers of a Ray cluster; rows are counted when a part is done."""

    _is_started = False

    def _pickler(self) -> Any:
        from ray import cloudpickle

        return cloudpickle

    def _answers(
        self, work: Work, parts: Sequence[Any], named: Callable[[Any], str]
    ) -> Iterator[bytes]:
        import ray

        pickler = self._pickler()
        task = ray.remote(max_retries=_TRIES - 1)(_task())
        shared = ray.put(work)
        ahead = _AHEAD * max(1, int(ray.cluster_resources().get("CPU", 1)))
        further = deque(parts)
        waiting: deque[tuple[Any, Any]] = deque()
        try:
            while further or waiting:
                while further and len(waiting) < ahead:
                    part = further.popleft()
                    waiting.append((part, task.remote(shared, pickled(part, pickler))))
                part, reference = waiting[0]
                try:
                    answer = ray.get(reference)
                except ray.exceptions.RayError as error:
                    raise _told(error, self._cluster, named(part)) from error
                waiting.popleft()
                yield answer
        finally:
            for _, reference in waiting:
                ray.cancel(reference, force=True)

    def _start(self) -> None:
        if self._is_started:
            return
        import ray

        address = self._cluster.address
        check_answers(self._cluster)
        try:
            ray.init(
                address=address,
                log_to_driver=False,
                logging_level=logging.ERROR,
                configure_logging=False,
            )
        except Exception as error:
            raise PenstockError(f"{self._cluster} could not begin: {_first(error)}") from error
        self._is_started = True

    def _stop(self) -> None:
        if self._is_started:
            import ray

            ray.shutdown()
            self._is_started = False


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
