"""What passes through a job is counted, and let through as long as somebody waits for it."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from typing import Any

import apache_beam
from apache_beam.metrics import Metrics

from penstock.errors import DataError

NAMESPACE = "penstock"
ROWS = "rows"

_LOOK_EVERY = 1000
_ANSWER_SECONDS = 10.0


class Watched(apache_beam.PTransform):
    """Lets elements through unless the folder is gone that the job works for.

    A canceled job may go on where it runs: its elements end here, before they are written. `rows`
    says how many rows an element has, which are counted in the job's metrics.
    """

    def __init__(
        self, folder: str, kind: Any = Any, rows: Callable[[Any], int] | None = None
    ) -> None:
        super().__init__()
        # One that is not here, as in an object store, says nothing when it is not there.
        self._folder = folder if os.path.isdir(folder) else None
        self._kind = kind
        self._rows = rows

    def expand(self, elements: Any) -> Any:
        """Let elements through."""
        watch = apache_beam.ParDo(_Watch(self._folder, self._rows))
        return elements | "Watch" >> watch.with_output_types(self._kind)


class _Watch(apache_beam.DoFn):
    def __init__(self, folder: str | None, rows: Callable[[Any], int] | None) -> None:
        super().__init__()
        self._folder = folder
        self._rows = rows
        self._passed = 0
        self._counter = Metrics.counter(NAMESPACE, ROWS)

    def process(self, element: Any) -> Iterator[Any]:
        """Let an element through."""
        if self._rows is not None or self._passed % _LOOK_EVERY == 0:
            self._look()
        self._passed += 1
        if self._rows is not None:
            self._counter.inc(self._rows(element))
        yield element

    def start_bundle(self) -> None:
        """Look before anything else is done."""
        self._look()

    def finish_bundle(self) -> None:
        """Look before what was written is given its name."""
        self._look()

    def _look(self) -> None:
        if self._folder is not None and not os.path.isdir(self._folder):
            raise DataError(
                f"the node's folder is not on {socket.gethostname()}, where a worker of Beam's is",
                path=self._folder,
                hint="The node has ended, and its job goes on; or the workers do not have the "
                "pipeline's root in a folder that all machines share.",
            )


def rows_of(result: Any) -> int | None:
    """Return how many rows a job has counted so far; None if it does not say."""
    from apache_beam.metrics import MetricsFilter

    found = _metrics_of(result).query(MetricsFilter().with_namespace(NAMESPACE).with_name(ROWS))
    counters = found["counters"]
    return sum(counter.result or 0 for counter in counters) if counters else None


def _metrics_of(result: Any) -> Any:
    service = getattr(result, "_job_service", None)
    if service is None:
        return result.metrics()
    # A portable result keeps the first answer, also that of a job which has not begun.
    from apache_beam.portability.api import beam_job_api_pb2
    from apache_beam.runners.portability.portable_runner import PortableMetrics

    request = beam_job_api_pb2.GetJobMetricsRequest(job_id=result._job_id)
    return PortableMetrics(service.GetJobMetrics(request, timeout=_ANSWER_SECONDS))
