"""What a prediction server tells of its answers, as spans and as metrics."""

from __future__ import annotations

import logging
import time
from typing import Any

from penstock.opentelemetry.destination import Collector
from penstock.opentelemetry.exporting import open_telemetry

_LOG = logging.getLogger(__name__)
# Headers by which a caller says in which trace it asks, as W3C's Trace Context has them.
CARRIED = ("traceparent", "tracestate")
_FAILED = 500


class AnswerTelemetry:
    """A span and metrics of each answer, made when it has been given: no caller waits for them.

    A request with a `traceparent` has a span in that trace if its caller's span is sampled.

    Raises:
      ConfigError: OpenTelemetry's SDK is not installed.
    """

    def __init__(self, collector: Collector) -> None:
        from opentelemetry.trace import SpanKind
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._telemetry = open_telemetry(collector)
        self._propagator, self._kind = TraceContextTextMapPropagator(), SpanKind.SERVER
        self._durations = self._telemetry.meter.create_histogram(
            "http.server.request.duration", unit="s", description="From a request to its answer"
        )
        self._rows = self._telemetry.meter.create_counter(
            "penstock.predictions", unit="{row}", description="Rows that were answered"
        )

    def answered(
        self,
        model: str,
        version: int,
        role: str,
        status: int,
        seconds: float,
        *,
        rows: int = 0,
        protocol: str = "http",
        parent: tuple[str, str] = ("", ""),
    ) -> None:
        """Tell of an answer that has just been given; `parent` is traceparent and tracestate."""
        try:
            self._tell(model, version, role, status, seconds, rows, protocol, parent)
        except Exception:  # no span is worth an answer
            _LOG.debug("a span could not be made", exc_info=True)

    def close(self) -> None:
        """Send what waits, and wait a little for that."""
        self._telemetry.close()

    def _tell(
        self,
        model: str,
        version: int,
        role: str,
        status: int,
        seconds: float,
        rows: int,
        protocol: str,
        parent: tuple[str, str],
    ) -> None:
        from opentelemetry.trace import Status, StatusCode

        attributes: dict[str, Any] = {
            "penstock.model": model,
            "penstock.model.version": version,
            "penstock.role": role,
            "network.protocol.name": protocol,
            "http.response.status_code": status,
        }
        if status >= _FAILED:
            attributes["error.type"] = str(status)
        self._durations.record(seconds, attributes)
        self._rows.add(rows, {name: attributes[name] for name in _OF_ROWS})
        end = time.time_ns()
        carried = dict(zip(CARRIED, parent, strict=True))
        span = self._telemetry.tracer.start_span(
            f"predict {model}",
            context=self._propagator.extract({k: v for k, v in carried.items() if v}),
            kind=self._kind,
            attributes=attributes,
            start_time=end - int(seconds * 1e9),
        )
        if span.is_recording():
            span.set_attribute("penstock.rows", rows)
            if status >= _FAILED:
                span.set_status(Status(StatusCode.ERROR))
        span.end(end)


_OF_ROWS = ("penstock.model", "penstock.model.version", "penstock.role")
