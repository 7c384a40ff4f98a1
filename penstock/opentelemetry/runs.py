"""What a runner tells of a run, as one trace and as metrics."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Mapping
from typing import Any, Concatenate, ParamSpec

from penstock.opentelemetry.destination import Collector
from penstock.opentelemetry.exporting import open_telemetry

_LOG = logging.getLogger(__name__)
_P = ParamSpec("_P")
# Variables by which whoever starts a run says in which trace, in lower case.
_CARRIED = ("traceparent", "tracestate")
_FAILED = ("failed", "canceled")


def _losing_at_most_a_span(
    method: Callable[Concatenate[RunTelemetry, _P], None],
) -> Callable[Concatenate[RunTelemetry, _P], None]:
    def guarded(self: RunTelemetry, /, *args: _P.args, **kwargs: _P.kwargs) -> None:
        try:
            method(self, *args, **kwargs)
        except Exception:  # no span is worth a run
            _LOG.debug("a span could not be made", exc_info=True)

    functools.update_wrapper(guarded, method)
    return guarded


class RunTelemetry:
    """The trace of one run: a span of its own, one a node below it, and one a piece of work.

    The trace is the one that `environment` tells of (TRACEPARENT and TRACESTATE, as W3C's Trace
    Context has them), or a new one. What is told before `run_started` is of an earlier attempt at
    the run. States are those of the store.

    Raises:
      ConfigError: OpenTelemetry's SDK is not installed.
    """

    def __init__(self, collector: Collector, environment: Mapping[str, str]) -> None:
        self._telemetry = open_telemetry(collector)
        self._carried = {
            name: environment[name.upper()] for name in _CARRIED if environment.get(name.upper())
        }
        meter = self._telemetry.meter
        self._durations = meter.create_histogram(
            "penstock.node.duration", unit="s", description="From a node's start to its end"
        )
        self._nodes = meter.create_counter(
            "penstock.nodes", unit="{node}", description="Nodes that ended, by their states"
        )
        self._cpu = meter.create_counter(
            "penstock.node.cpu", unit="s", description="CPU seconds of nodes' executors"
        )
        self._memory = meter.create_histogram(
            "penstock.node.memory.peak", unit="By", description="Peak memory of nodes' executors"
        )
        self._run: Any = None
        self._pipeline = ""
        self._spans: dict[str, Any] = {}
        self._work: dict[str, Any] = {}

    @_losing_at_most_a_span
    def run_started(self, run_id: str, pipeline_name: str, *, attempt: int = 1) -> None:
        """Begin the run's span."""
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        parent = TraceContextTextMapPropagator().extract(self._carried)
        self._pipeline = pipeline_name
        self._run = self._telemetry.tracer.start_span(
            f"run {pipeline_name}",
            context=parent,
            attributes={
                "penstock.pipeline": pipeline_name,
                "penstock.run.id": run_id,
                "penstock.run.attempt": attempt,
            },
        )

    @_losing_at_most_a_span
    def node_started(self, node_id: str) -> None:
        """Begin a node's span."""
        if self._run is None:
            return
        self._spans[node_id] = self._below(
            self._run, f"node {node_id}", {"penstock.node.id": node_id}
        )

    @_losing_at_most_a_span
    def work_started(self, node_id: str, kind: str) -> None:
        """Begin the span of a node's driver or executor."""
        if node_id in self._spans:
            self._work[node_id] = self._below(
                self._spans[node_id], kind, {"penstock.node.id": node_id}
            )

    @_losing_at_most_a_span
    def work_ended(
        self, node_id: str, measured: Mapping[str, float] | None = None, error: str = ""
    ) -> None:
        """End the span of a node's driver or executor; `measured` is of one that succeeded."""
        span = self._work.pop(node_id, None)
        if span is None:
            return
        measured, of = measured or {}, self._of(node_id)
        for name in ("cpu_seconds", "peak_memory_bytes"):
            if name in measured:
                span.set_attribute(f"penstock.{name}", measured[name])
        if "cpu_seconds" in measured:
            self._cpu.add(measured["cpu_seconds"], of)
        if "peak_memory_bytes" in measured:
            self._memory.record(measured["peak_memory_bytes"], of)
        _end(span, error)

    @_losing_at_most_a_span
    def node_ended(
        self,
        node_id: str,
        state: str,
        *,
        seconds: float | None = None,
        execution_id: int | None = None,
        error: str = "",
    ) -> None:
        """End a node's span; of one that was skipped before it began there is none."""
        if self._run is None or (state == "skipped" and node_id not in self._spans):
            return
        if node_id not in self._spans:
            self.node_started(node_id)
        self.work_ended(node_id, error=error)
        span = self._spans.pop(node_id)
        span.set_attribute("penstock.node.state", state)
        if execution_id is not None:
            span.set_attribute("penstock.execution.id", execution_id)
        span.set_attribute("penstock.node.cached", state == "cached")
        of = {**self._of(node_id), "penstock.node.state": state}
        self._nodes.add(1, of)
        if seconds is not None:
            self._durations.record(seconds, of)
        _end(span, (error or state) if state in _FAILED else "")

    def run_ended(self, state: str, error: str = "") -> None:
        """End the run's span, and wait a little for what is under way."""
        if self._run is not None:
            self._end(state, error)
        self._telemetry.close()

    @_losing_at_most_a_span
    def _end(self, state: str, error: str) -> None:
        for node_id in list(self._spans):
            self.node_ended(node_id, "canceled", error="the run ended before it did")
        self._run.set_attribute("penstock.run.state", state)
        _end(self._run, (error or state) if state in _FAILED else "")

    def _below(self, parent: Any, name: str, attributes: Mapping[str, Any]) -> Any:
        from opentelemetry.trace import set_span_in_context

        return self._telemetry.tracer.start_span(
            name, context=set_span_in_context(parent), attributes=attributes
        )

    def _of(self, node_id: str) -> dict[str, str]:
        return {"penstock.pipeline": self._pipeline, "penstock.node.id": node_id}


def _end(span: Any, error: str) -> None:
    """End a span; an error is an event of it, as OpenTelemetry has exceptions."""
    from opentelemetry.trace import Status, StatusCode

    if error:
        kind, colon, _ = error.partition(":")
        is_type = bool(colon) and kind.replace(".", "_").isidentifier()
        event = {"exception.message": error}
        if is_type:
            event["exception.type"] = kind
        span.add_event("exception", event)
        span.set_status(Status(StatusCode.ERROR, error.partition("\n")[0]))
    span.end()
