"""QualityMonitor: a window of a log beside a schema, or beside what a model was trained on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from penstock.authoring import artifacts
from penstock.components.quality_monitor import executor
from penstock.monitoring.measures import WindowReport, read_report
from penstock.project.monitors import QualityTests
from penstock_support.served_examples import examples_of, logged

pytestmark = pytest.mark.core

SCHEMA = """
feature { name: "age" type: FLOAT float_domain { min: 0 max: 120 } presence { min_fraction: 1 } }
feature { name: "city" type: BYTES string_domain { value: "Oslo" value: "Rome" }
          presence { min_fraction: 1 } }
feature { name: "late" type: INT presence { min_fraction: 1 } not_in_environment: "SERVING" }
default_environment: "TRAINING"
default_environment: "SERVING"
"""


@pytest.fixture
def monitor(tmp_path: Path) -> Any:
    """Monitor a window, and return its report."""

    def run(served: Any, **arguments: Any) -> WindowReport:
        report = artifacts.MonitorReport()
        report.uri = str(tmp_path / "report")
        Path(report.uri).mkdir()
        given = {
            "schema": None,
            "baseline": [],
            "model": None,
            "tests": QualityTests(environment="SERVING"),
            "most_rows": 200_000,
        }
        executor.monitor(examples=served, report=report, **{**given, **arguments})
        return read_report(report.uri)

    return run


@pytest.fixture
def schema(tmp_path: Path) -> Any:
    """A schema of people, whose label nobody sends."""
    made = artifacts.Schema()
    made.uri = str(tmp_path / "schema")
    Path(made.uri).mkdir()
    Path(made.uri, "schema.pbtxt").write_text(SCHEMA)
    return made


def people(*cities: str, age: float = 50.0) -> pa.Table:
    return pa.table({"age": [age] * len(cities), "city": list(cities)})


def test_what_the_schema_expects_is_fine(monitor, schema, tmp_path):
    served = examples_of(logged(people(*["Oslo"] * 100)), tmp_path / "served")
    report = monitor(served, schema=schema)
    assert report.alarms == ()
    assert {measure.subject for measure in report.measures} == {"age", "city"}


def test_what_the_schema_does_not_expect_rings(monitor, schema, tmp_path):
    served = examples_of(logged(people(*["Bern"] * 100, age=500.0)), tmp_path / "served")
    assert {one.subject for one in monitor(served, schema=schema).alarms} == {"age", "city"}


def test_without_a_schema_the_rows_of_the_training_data_are_expected(monitor, tmp_path):
    known = people(*["Oslo", "Rome"] * 100).append_column("late", pa.array([0] * 200))
    baseline = [examples_of(known, tmp_path / "training", "train", None)]
    served = examples_of(logged(people(*["Bern"] * 100)), tmp_path / "served")
    report = monitor(served, baseline=baseline)
    assert [(one.subject, one.name) for one in report.alarms] == [("city", "unexpected_values")]


def test_without_anything_to_expect_nothing_is_said(monitor, tmp_path):
    served = examples_of(logged(people(*["Bern"] * 100)), tmp_path / "served")
    assert monitor(served).measures == ()
