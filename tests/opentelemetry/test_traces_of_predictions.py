"""What a collector gets of a prediction server."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pytest

from penstock.models import save_model
from penstock_support.otlp_collectors import collecting
from penstock_support.prediction_server import start_server

pytestmark = pytest.mark.needs(
    "opentelemetry.exporter.otlp.proto.http", "sklearn", "skops", "uvloop", "orjson"
)
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
AGE = {"age": 30}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    from sklearn.linear_model import LogisticRegression

    ages = np.arange(20, 80)
    folder = tmp_path_factory.mktemp("served") / "people"
    (folder / "7").mkdir(parents=True)
    fitted = LogisticRegression().fit(ages.reshape(-1, 1), ages > 50)
    save_model(fitted, str(folder / "7"), example=pa.table({"age": ages[:5]}))
    return folder


@pytest.fixture
def collector():
    with collecting() as running:
        yield running


@pytest.fixture
def serve(model, tmp_path):
    """Serve the model: serve(*arguments, **environment); the server ends at the test's end."""
    started = []

    def serve(*arguments: str, **environment: str):
        server = start_server(tmp_path, str(model), *arguments, **environment)
        started.append(server)
        server.wait_until_ready()
        return server

    yield serve
    for server in started:
        if server.process.poll() is None:
            server.end()


def test_an_answer_is_a_span_in_its_callers_trace(serve, collector):
    server = serve("--otel", collector.address)
    status, _ = server.post("/predict/people", AGE, traceparent=f"00-{TRACE}-{PARENT}-01")
    server.end()
    assert status == 200
    span = collector.named("predict people")
    assert (span.trace_id, span.parent_id) == (TRACE, PARENT)
    assert 0 < span.seconds < 30
    assert not span.is_error
    assert span.attributes == {
        "penstock.model": "people",
        "penstock.model.version": 7,
        "penstock.role": "production",
        "penstock.rows": 1,
        "network.protocol.name": "http",
        "http.response.status_code": 200,
    }


def test_the_caller_decides_whether_there_is_a_span(serve, collector):
    server = serve("--otel", collector.address)
    server.post("/predict/people", AGE, traceparent=f"00-{TRACE}-{PARENT}-00")
    server.end()
    assert collector.spans == []
    [(_, point)] = collector.points_of("http.server.request.duration")
    assert point.count == 1


def test_a_caller_without_a_trace_gets_one(serve, collector):
    server = serve("--otel", collector.address)
    server.post("/predict/people", AGE)
    server.end()
    assert collector.named("predict people").parent_id == ""


def test_a_header_that_is_none_of_a_trace_begins_one(serve, collector):
    server = serve("--otel", collector.address)
    assert server.post("/predict/people", AGE, traceparent="00-zz-\xff")[0] == 200
    server.end()
    assert collector.named("predict people").parent_id == ""


def test_answers_are_measured_by_version_role_and_status(serve, collector):
    server = serve(OTEL_EXPORTER_OTLP_ENDPOINT=collector.address, OTEL_SERVICE_NAME="people-api")
    server.post("/predict/people", AGE)
    server.post("/predict/people", [AGE, AGE])
    server.post("/predict/people", {"height": 3})
    server.end()
    counted = {
        (of["penstock.model.version"], of["penstock.role"], of["http.response.status_code"]): (
            point.count
        )
        for of, point in collector.points_of("http.server.request.duration")
    }
    assert counted == {(7, "production", 200): 2, (7, "production", 400): 1}
    assert sum(point.as_int for _, point in collector.points_of("penstock.predictions")) == 3
    assert {span.service for span in collector.spans} == {"people-api"}


def test_without_an_address_nothing_is_sent(serve, collector):
    server = serve()
    server.post("/predict/people", AGE)
    server.end()
    assert collector.requests == []


def test_a_collector_that_is_away_costs_no_caller_anything(serve):
    with collecting() as gone:
        address = gone.address
    server = serve("--otel", address, OTEL_BSP_SCHEDULE_DELAY="10")
    with ThreadPoolExecutor(4) as callers:
        answers = list(callers.map(lambda _: server.post("/predict/people", AGE), range(200)))
    assert {status for status, _ in answers} == {200}
    began = time.monotonic()
    server.end()
    assert time.monotonic() - began < 20
    assert server.log.read_text().count("the OpenTelemetry collector cannot be reached") == 1


def test_an_address_that_is_none_is_refused_at_the_start(model, tmp_path):
    server = start_server(tmp_path, str(model), "--otel", "collector:4318")
    assert server.process.wait(timeout=60) != 0
    assert "expected the address of an OpenTelemetry collector" in server.log.read_text()
