"""What a collector gets of runs."""

from __future__ import annotations

import logging
import threading
import time

import pytest

from penstock.opentelemetry import Collector
from penstock.runners.local import LocalRunner
from penstock_support.otlp_collectors import collecting
from penstock_support.traced_components import counting, failing

pytestmark = pytest.mark.needs("opentelemetry.exporter.otlp.proto.http")
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.fixture
def collector():
    with collecting() as running:
        yield running


@pytest.fixture
def run(tmp_path, collector):
    def run(made, address=None, **options):
        runner = LocalRunner(
            pipeline_root=str(tmp_path / made.name),
            metadata=str(tmp_path / "metadata.sqlite"),
            opentelemetry=collector.address if address is None else address,
        )
        return runner.run(made, raise_on_failure=False, **options)

    yield run
    # What still waits for this test's collector would tell of its loss within the next test.
    collector.answers = 200
    for thread in threading.enumerate():
        if thread.name == "opentelemetry-end":
            thread.join()


def test_a_run_is_a_trace_of_its_nodes_and_their_work(run, collector):
    result = run(counting)
    whole, node = collector.named("run counting"), collector.named("node Count")
    work = collector.named("executor")
    assert (whole.parent_id, node.parent_id, work.parent_id) == ("", whole.span_id, node.span_id)
    assert {span.trace_id for span in (node, work)} == {whole.trace_id}
    assert whole.service == "penstock"
    assert whole.attributes == {
        "penstock.pipeline": "counting",
        "penstock.run.id": result.run_id,
        "penstock.run.attempt": 1,
        "penstock.run.state": "done",
    }
    assert node.attributes == {
        "penstock.node.id": "Count",
        "penstock.node.state": "done",
        "penstock.node.cached": False,
        "penstock.execution.id": result.nodes["Count"].execution_id,
    }
    assert work.attributes["penstock.peak_memory_bytes"] > 1e6


def test_a_node_from_the_cache_has_a_span_without_work(run, collector):
    run(counting)
    collector.spans.clear()
    run(counting)
    assert collector.named("node Count").attributes["penstock.node.cached"] is True
    assert [span.name for span in collector.spans if span.name == "executor"] == []


def test_what_failed_is_an_exception_of_its_span_and_of_the_run(run, collector):
    run(failing)
    node = collector.named("node Fail")
    assert node.is_error
    [(name, event)] = node.events
    assert (name, event["exception.type"]) == ("exception", "ValueError")
    assert "no such luck with 3" in event["exception.message"]
    assert collector.named("run failing").is_error
    assert not collector.named("node Count").is_error


def test_a_run_continues_the_trace_of_who_started_it(run, collector, monkeypatch):
    monkeypatch.setenv("TRACEPARENT", f"00-{TRACE}-{PARENT}-01")
    run(counting)
    whole = collector.named("run counting")
    assert (whole.trace_id, whole.parent_id) == (TRACE, PARENT)


def test_of_a_trace_that_is_not_sampled_there_are_no_spans(run, collector, monkeypatch):
    monkeypatch.setenv("TRACEPARENT", f"00-{TRACE}-{PARENT}-00")
    run(counting)
    assert collector.spans == []
    assert collector.points_of("penstock.nodes") != []


def test_nodes_are_measured(run, collector):
    run(counting)
    [(of, point)] = collector.points_of("penstock.nodes")
    assert point.as_int == 1
    assert of == {
        "penstock.pipeline": "counting",
        "penstock.node.id": "Count",
        "penstock.node.state": "done",
    }
    names = {name for name, _, _ in collector.points}
    assert names == {
        "penstock.nodes",
        "penstock.node.duration",
        "penstock.node.cpu",
        "penstock.node.memory.peak",
    }


def test_the_usual_variables_name_the_service(run, collector, monkeypatch):
    monkeypatch.setenv("OTEL_SERVICE_NAME", "training")
    run(counting)
    assert collector.named("run counting").service == "training"


def test_without_metrics_there_are_only_traces(run, collector):
    run(counting, Collector(collector.address, metrics=False))
    assert set(collector.requests) == {"/v1/traces"}


@pytest.mark.parametrize("answers", [503, 404])
def test_a_collector_that_takes_nothing_costs_a_run_no_more_than_the_wait(
    run, collector, answers, caplog
):
    collector.answers = answers
    began = time.monotonic()
    with caplog.at_level(logging.WARNING):
        assert run(counting).succeeded
    assert time.monotonic() - began < 30
    assert [record.getMessage() for record in caplog.records if "are lost" in record.getMessage()]


def test_a_collector_that_is_away_is_told_once(run, caplog):
    with collecting() as gone:
        address = gone.address
    with caplog.at_level(logging.WARNING):
        assert run(counting, address).succeeded
    told = [record.getMessage() for record in caplog.records if "collector" in record.getMessage()]
    assert len(told) == 1
    assert "the OpenTelemetry collector cannot be reached" in told[0]
    assert [record for record in caplog.records if record.name.startswith("opentelemetry")] == []
