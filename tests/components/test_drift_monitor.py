"""DriftMonitor: a window of a log beside its baseline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from penstock.authoring import artifacts
from penstock.components.drift_monitor import executor
from penstock.errors import DataError
from penstock.models.saving import save_model
from penstock.monitoring.measures import (
    ALARM,
    DRIFT,
    FINE,
    PREDICTIONS,
    SKEW,
    WindowReport,
    read_report,
)
from penstock.project.monitors import DriftTests
from penstock_support.served_examples import DAY, examples_of, logged


def rows(count: int, seed: int = 0, shift: float = 0.0) -> pa.Table:
    random = np.random.default_rng(seed)
    return pa.table(
        {
            "age": random.normal(50 + shift, 10, count),
            "city": random.choice(["Oslo", "Rome"], count),
        }
    )


@pytest.fixture
def monitor(tmp_path: Path) -> Any:
    """Monitor a window, and return its report."""

    def run(served: Any, baseline: Any = None, **arguments: Any) -> WindowReport:
        report = artifacts.MonitorReport()
        report.uri = str(tmp_path / "report")
        Path(report.uri).mkdir(exist_ok=True)
        given = {
            "model": None,
            "tests": DriftTests(),
            "prediction_tests": DriftTests(),
            "baseline_splits": None,
            "is_training": True,
            "most_rows": 200_000,
        }
        executor.monitor(
            examples=served, report=report, baseline=baseline or [], **{**given, **arguments}
        )
        return read_report(report.uri)

    return run


@pytest.fixture
def training(tmp_path: Path) -> list[Any]:
    """What a model was trained on, with a label that no caller sends."""
    table = rows(4000).append_column("label", pa.array([0, 1] * 2000))
    return [examples_of(table, tmp_path / "training", "train", None)]


def test_a_window_like_the_training_data_is_fine(monitor, training, tmp_path):
    report = monitor(examples_of(logged(rows(1000, 1)), tmp_path / "served"), training)
    assert [(m.kind, m.subject, m.state) for m in report.measures] == [
        (SKEW, "age", FINE),
        (SKEW, "city", FINE),
    ]


def test_a_feature_that_is_skewed_rings(monitor, training, tmp_path):
    report = monitor(examples_of(logged(rows(1000, 1, shift=20)), tmp_path / "served"), training)
    assert [measure.subject for measure in report.alarms] == ["age"]


def test_the_report_says_of_which_window_it_is_and_who_answered(monitor, training, tmp_path):
    report = monitor(examples_of(logged(rows(300, 1)), tmp_path / "served"), training)
    assert (report.window, report.rows, report.versions) == (DAY, 300, {"3": 300})


def test_the_report_has_the_distributions_side_by_side(monitor, training, tmp_path):
    report = monitor(examples_of(logged(rows(300, 1)), tmp_path / "served"), training)
    [city] = [one for one in report.histograms if one.subject == "city"]
    assert set(city.bins) >= {"Oslo", "Rome"}
    assert sum(city.shares) == pytest.approx(1, abs=1e-5)
    assert sum(city.reference) == pytest.approx(1, abs=1e-5)


def test_a_baseline_that_is_no_training_data_tells_of_drift(monitor, tmp_path):
    earlier = examples_of(logged(rows(1000, 2)), tmp_path / "earlier")
    served = examples_of(logged(rows(1000, 1)), tmp_path / "served")
    report = monitor(served, [earlier], is_training=False)
    assert {measure.kind for measure in report.measures} == {DRIFT}


def test_predictions_are_compared_with_those_of_an_earlier_window(monitor, tmp_path):
    random = np.random.default_rng(5)
    earlier = logged(rows(1000, 2), score=random.uniform(0, 1, 1000))
    now = logged(rows(1000, 1), score=random.uniform(0.4, 1, 1000))
    report = monitor(
        examples_of(now, tmp_path / "served"),
        [examples_of(earlier, tmp_path / "earlier")],
        is_training=False,
    )
    [score] = [measure for measure in report.measures if measure.kind == PREDICTIONS]
    assert (score.subject, score.state) == ("score", ALARM)


@pytest.mark.needs("sklearn", "skops")
def test_predictions_are_compared_with_what_the_model_says_of_its_training_data(
    monitor, training, tmp_path
):
    from sklearn.linear_model import LogisticRegression

    example = rows(500).select(["age"])
    labels = ["old" if age > 50 else "young" for age in example.column("age").to_pylist()]
    fitted = LogisticRegression(max_iter=1000).fit(example.to_pandas(), labels)
    model = artifacts.Model()
    model.uri = str(tmp_path / "model")
    save_model(fitted, str(tmp_path / "model" / "Format-Serving"), example=example)
    served = logged(rows(1000, 1), **{"class": ["old"] * 1000})
    report = monitor(examples_of(served, tmp_path / "served"), training, model=model)
    [classes] = [measure for measure in report.measures if measure.kind == PREDICTIONS]
    assert (classes.subject, classes.state) == ("predicted class", ALARM)
    assert "of rows are 'young', where" in classes.why or "are 'old'" in classes.why


def test_without_a_baseline_rows_are_counted_and_nothing_is_said(monitor, tmp_path):
    report = monitor(examples_of(logged(rows(300, 1)), tmp_path / "served"))
    assert (report.rows, report.measures) == (300, ())


def test_only_the_splits_that_are_named_are_the_baseline(monitor, training, tmp_path):
    served = examples_of(logged(rows(300, 1)), tmp_path / "served")
    with pytest.raises(DataError, match="examples have no split 'evla'"):
        monitor(served, training, baseline_splits=["evla"])


def test_examples_that_are_of_no_log_are_refused(monitor, training):
    with pytest.raises(DataError, match="do not say which window of time they are of"):
        monitor(training[0], training)


def test_what_is_found_is_said_in_the_nodes_log(monitor, training, tmp_path, capsys):
    monitor(examples_of(logged(rows(1000, 1, shift=20)), tmp_path / "served"), training)
    said = capsys.readouterr().out
    assert "2026-05-04T00:00Z: 1000 rows, 2 measures, 1 alarms" in said
    assert "skew: age, js" in said
