"""OpenTelemetry's SDK, set up for one collector, so that nobody ever waits for it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from penstock.errors import ConfigError
from penstock.opentelemetry.destination import Collector
from penstock.project import extras

FLUSH_SECONDS = 5.0
_LOG = logging.getLogger("penstock.opentelemetry")
_SCOPE = "penstock"
# Seconds: from an answer of a small model to a training of a day.
_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_LONG_BOUNDS = (0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14400.0, 86400.0)


@dataclass(frozen=True)
class Telemetry:
    """A tracer and a meter of OpenTelemetry's; `end` sends what waits; `lost` tells of losses."""

    tracer: Any
    meter: Any
    end: Callable[[], None]
    lost: Callable[[str, str], None]

    def close(self, seconds: float = FLUSH_SECONDS) -> None:
        """Send what waits, and wait for that no longer than so many seconds."""
        ending = threading.Thread(target=self.end, name="opentelemetry-end", daemon=True)
        ending.start()
        ending.join(seconds)
        if ending.is_alive():
            self.lost("the last traces and metrics", f"nothing was taken within {seconds:g} s")


class _Telling:
    """An exporter that tells once that nobody takes what it sends."""

    def __init__(self, exporter: Any, what: str, failure: Any, told: _Told) -> None:
        self._exporter, self._what, self._failure, self._told = exporter, what, failure, told

    def __getattr__(self, name: str) -> Any:
        return getattr(self._exporter, name)

    def export(self, *batch: Any, **options: Any) -> Any:
        """Export a batch; it is lost if that fails."""
        try:
            result = self._exporter.export(*batch, **options)
        except Exception as error:  # whatever it is, nobody's work should end by it
            self._told.lost(self._what, type(error).__name__)
            return self._failure
        if result is self._failure:
            self._told.lost(self._what, "it did not take them")
        return result


class _Told:
    def __init__(self) -> None:
        self._first = threading.Lock()  # several threads send

    def lost(self, what: str, reason: str) -> None:
        if self._first.acquire(blocking=False):
            _LOG.warning(
                "%s are lost: the OpenTelemetry collector cannot be reached (%s). This is said "
                "once; the work goes on.",
                what,
                reason,
            )


def open_telemetry(collector: Collector) -> Telemetry:
    """Return what makes traces and metrics for a collector.

    Nothing global is set: the user's own OpenTelemetry, if there is one, stays as it is.

    Raises:
      ConfigError: OpenTelemetry's SDK and its exporter are not installed.
    """
    absent = extras.needed_by("otel", extras.EXTRAS["otel"])
    if absent is not None:
        raise ConfigError(absent.message, hint=absent.hint)
    # What it tells of each batch is told by us, once.
    logging.getLogger("opentelemetry.exporter.otlp").disabled = True
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import MetricExportResult, PeriodicExportingMetricReader
    from opentelemetry.sdk.metrics.view import ExplicitBucketHistogramAggregation, View
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult

    _quiet()
    told = _Told()
    resource = _resource(Resource)
    traces = TracerProvider(resource=resource, shutdown_on_exit=False)
    if collector.traces:
        exporter = OTLPSpanExporter(endpoint=_endpoint(collector, "traces"))
        telling = _Telling(exporter, "traces", SpanExportResult.FAILURE, told)
        traces.add_span_processor(BatchSpanProcessor(telling))  # type: ignore[arg-type]  # it is one in all it does
    readers = []
    if collector.metrics:
        sender = OTLPMetricExporter(endpoint=_endpoint(collector, "metrics"))
        counting = _Telling(sender, "metrics", MetricExportResult.FAILURE, told)
        readers.append(PeriodicExportingMetricReader(counting))  # type: ignore[arg-type]  # the same
    views = [
        View(instrument_name=name, aggregation=ExplicitBucketHistogramAggregation(bounds))
        for name, bounds in (
            ("penstock.node.duration", _LONG_BOUNDS),
            ("http.server.request.duration", _BOUNDS),
        )
    ]
    meters = MeterProvider(readers, resource=resource, shutdown_on_exit=False, views=views)

    def end() -> None:
        providers: tuple[Any, ...] = (traces, meters)
        for provider in providers:
            try:
                provider.shutdown()
            except Exception:
                _LOG.debug("OpenTelemetry did not end well", exc_info=True)

    return Telemetry(traces.get_tracer(_SCOPE), meters.get_meter(_SCOPE), end, told.lost)


def _quiet() -> None:
    for signal in ("trace_exporter", "metric_exporter"):
        logging.getLogger(f"opentelemetry.exporter.otlp.proto.http.{signal}").disabled = True


def _endpoint(collector: Collector, signal: str) -> str | None:
    return f"{collector.address.rstrip('/')}/v1/{signal}" if collector.address else None


def _resource(resource: Any) -> Any:
    """Return what makes the telemetry: the service is penstock where nothing names another."""
    made = resource.create()
    if str(made.attributes.get("service.name", "")).startswith("unknown_service"):
        made = made.merge(resource({"service.name": "penstock"}))
    return made
