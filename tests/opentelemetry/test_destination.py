from __future__ import annotations

import pytest

from penstock.errors import ConfigError
from penstock.opentelemetry import Collector, collector_of

pytestmark = pytest.mark.core
ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}


def test_nothing_is_sent_unless_somebody_says_where():
    assert collector_of("", {}) is None


@pytest.mark.parametrize(
    ("address", "environment", "expected"),
    [
        ("http://collector:4318", {}, Collector("http://collector:4318")),
        ("", ENDPOINT, Collector()),
        ("", {**ENDPOINT, "OTEL_SDK_DISABLED": "true"}, None),
        ("http://collector:4318", {"OTEL_SDK_DISABLED": "TRUE"}, None),
        ("", {**ENDPOINT, "OTEL_TRACES_EXPORTER": "none"}, Collector(traces=False)),
        ("", {**ENDPOINT, "OTEL_METRICS_EXPORTER": "prometheus"}, Collector(metrics=False)),
        ("", {**ENDPOINT, "OTEL_TRACES_EXPORTER": "console, otlp"}, Collector()),
        ("", {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://x"}, Collector(metrics=False)),
        (
            "",
            {**ENDPOINT, "OTEL_METRICS_EXPORTER": "none", "OTEL_TRACES_EXPORTER": "none"},
            None,
        ),
    ],
)
def test_an_address_and_the_usual_variables_say_what_goes_where(address, environment, expected):
    assert collector_of(address, environment) == expected


@pytest.mark.parametrize(
    "address", ["collector:4318", "grpc://collector:4317", "http://", "http://["]
)
def test_what_is_no_address_of_http_is_refused_without_showing_it(address):
    with pytest.raises(ConfigError) as raised:
        collector_of(address, {})
    assert "expected the address of an OpenTelemetry collector" in str(raised.value)
    assert "Write http://HOST:4318 or https://HOST" in str(raised.value)
