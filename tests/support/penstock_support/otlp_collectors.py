"""A collector of OpenTelemetry's for tests: takes OTLP over HTTP, and refuses what is not valid."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_VALUES = ("string_value", "bool_value", "int_value", "double_value")


class Span:
    """A span as a collector got it."""

    def __init__(self, message: Any, service: str) -> None:
        self.name, self.service = message.name, service
        self.trace_id, self.span_id = message.trace_id.hex(), message.span_id.hex()
        self.parent_id = message.parent_span_id.hex()
        self.attributes = attributes(message.attributes)
        self.events = [(event.name, attributes(event.attributes)) for event in message.events]
        self.is_error = message.status.code == 2
        self.seconds = (message.end_time_unix_nano - message.start_time_unix_nano) / 1e9


def attributes(pairs: Any) -> dict[str, Any]:
    """Return attributes as a dict; each has a value of a plain type."""
    found = {}
    for pair in pairs:
        kind = pair.value.WhichOneof("value")
        assert kind in _VALUES, f"{pair.key} has {kind}"
        found[pair.key] = getattr(pair.value, kind)
    assert len(found) == len(pairs), "an attribute stands there twice"
    return found


class Collector(ThreadingHTTPServer):
    """Has the spans and the points of metrics that came; `answers` is the status of each answer."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.spans: list[Span] = []
        self.points: list[tuple[str, dict[str, Any], Any]] = []
        self.requests: list[str] = []
        self.problems: list[str] = []
        self.answers = 200

    @property
    def address(self) -> str:
        """Where it takes them."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def named(self, name: str) -> Span:
        """Return the one span of a name."""
        [span] = [span for span in self.spans if span.name == name]
        return span

    def points_of(self, metric: str) -> list[tuple[dict[str, Any], Any]]:
        """Return the points of a metric with their attributes."""
        return [(attributes, point) for name, attributes, point in self.points if name == metric]

    def take(self, path: str, body: bytes) -> None:
        """Take what came to an address."""
        from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
        from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

        if path == "/v1/traces":
            traces = trace_service_pb2.ExportTraceServiceRequest.FromString(body)
            for of_resource in traces.resource_spans:
                service = attributes(of_resource.resource.attributes)["service.name"]
                for scope in of_resource.scope_spans:
                    self.spans += [self._checked(Span(s, service)) for s in scope.spans]
        elif path == "/v1/metrics":
            metrics = metrics_service_pb2.ExportMetricsServiceRequest.FromString(body)
            for of_resource in metrics.resource_metrics:
                for scope in of_resource.scope_metrics:
                    for metric in scope.metrics:
                        data = getattr(metric, metric.WhichOneof("data"))
                        assert metric.unit, f"{metric.name} has no unit"
                        self.points += [
                            (metric.name, attributes(point.attributes), point)
                            for point in data.data_points
                        ]
        else:
            raise AssertionError(f"nothing is at {path}")

    @staticmethod
    def _checked(span: Span) -> Span:
        assert len(span.trace_id) == 32, span.trace_id
        assert len(span.span_id) == 16, span.span_id
        assert span.seconds >= 0, span.name
        return span


class _Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status = self.server.answers
        self.server.requests.append(self.path)
        if status == 200:
            try:
                assert self.headers["Content-Type"] == "application/x-protobuf"
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                self.server.take(self.path, body)
            except Exception as error:
                self.server.problems.append(repr(error))
                status = 400
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def collecting() -> Iterator[Collector]:
    """Run a collector, which has found no problem at its end."""
    with Collector() as collector:
        thread = threading.Thread(target=collector.serve_forever)
        thread.start()
        try:
            yield collector
        finally:
            collector.shutdown()
            thread.join()
    assert collector.problems == []
