"""PerformanceMonitor: what was predicted beside what came of it, as far as that is known."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from penstock.authoring import artifacts
from penstock.components.performance_monitor import component, executor
from penstock.models.saving import save_model
from penstock.monitoring.measures import (
    ALARM,
    ESTIMATE,
    FAIRNESS,
    PERFORMANCE,
    UNKNOWN,
    WindowReport,
    read_report,
)
from penstock.project.monitors import FairnessTests, Labels, Limits, PerformanceTests
from penstock_support.served_examples import examples_of, logged

ROWS = 2000


def outcomes(seed: int = 0) -> tuple[Any, Any, Any]:
    """Return ages, the probability that somebody stays, and whether they did."""
    random = np.random.default_rng(seed)
    age = random.normal(50, 15, ROWS)
    score = 1 / (1 + np.exp(-(age - 50) / 10))
    return age, score, (random.random(ROWS) < score).astype(int)


def served(folder: Path, seed: int = 0, score: Any = None) -> Any:
    age, known, _ = outcomes(seed)
    said = known if score is None else score
    city = np.where(np.arange(ROWS) % 2, "Oslo", "Rome")
    table = logged(
        {"age": age, "city": city},
        score=said,
        **{"class": np.where(said > 0.5, "1", "0")},
    )
    return examples_of(table, folder / "served")


def tell(folder: Path, labels: Any, known: int = ROWS) -> Labels:
    """Let labels of the first rows come."""
    (folder / "labels").mkdir(exist_ok=True)
    with open(folder / "labels" / "1.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["request_id", "stays"])
        writer.writerows([f"request-{n}", labels[n]] for n in range(known))
    return Labels("labels/*.csv", "stays", folder=str(folder))


@pytest.fixture
def monitor(tmp_path: Path) -> Any:
    """Monitor a window, and return its report."""

    def run(examples: Any, labels: Labels | None = None, **arguments: Any) -> WindowReport:
        report, evaluation = artifacts.MonitorReport(), artifacts.ModelEvaluation()
        for artifact, name in ((report, "report"), (evaluation, "evaluation")):
            artifact.uri = str(tmp_path / name)
            Path(artifact.uri).mkdir()
        given = {
            "baseline": [],
            "model": None,
            "baseline_splits": None,
            "tests": PerformanceTests(),
            "fairness": FairnessTests(),
            "folder": str(tmp_path),
        }
        executor.monitor(
            examples=examples,
            report=report,
            evaluation=evaluation,
            labels=labels,
            **{**given, **arguments},
        )
        return read_report(report.uri)

    return run


def by_name(report: WindowReport, kind: str = PERFORMANCE) -> dict[str, Any]:
    return {
        one.name: one for one in report.measures if (one.kind, one.subject) == (kind, "all rows")
    }


@pytest.mark.core
def test_metrics_have_intervals(monitor, tmp_path):
    report = monitor(served(tmp_path), tell(tmp_path, outcomes()[2]))
    auc = by_name(report)["AUC"]
    assert auc.lower < auc.value < auc.upper
    assert auc.value == pytest.approx(0.85, abs=0.05)
    assert auc.rows == ROWS


@pytest.mark.core
def test_rows_whose_labels_have_not_come_wait(monitor, tmp_path):
    report = monitor(served(tmp_path), tell(tmp_path, outcomes()[2], 500))
    assert report.facts == {"labeled": 500, "waiting": ROWS - 500}
    assert by_name(report)["AUC"].rows == 500


@pytest.mark.core
def test_before_labels_have_come_nothing_is_said(monitor, tmp_path):
    report = monitor(served(tmp_path), Labels("labels/*.csv", "stays", folder=str(tmp_path)))
    assert {one.state for one in report.measures} == {UNKNOWN}
    assert by_name(report)["AUC"].why == "0 rows have a label, 100 are needed"


@pytest.mark.core
def test_a_metric_below_its_limit_rings(monitor, tmp_path):
    tests = PerformanceTests(metrics={"AUC": Limits(at_least=0.95)})
    report = monitor(served(tmp_path), tell(tmp_path, outcomes()[2]), tests=tests)
    assert [one.name for one in report.alarms] == ["AUC"]


@pytest.mark.core
def test_slices_are_measured_each_for_itself(monitor, tmp_path):
    tests = PerformanceTests(slices=(("city",),))
    report = monitor(served(tmp_path), tell(tmp_path, outcomes()[2]), tests=tests)
    assert {one.subject for one in report.measures} == {"all rows", "city:Oslo", "city:Rome"}


@pytest.mark.core
def test_groups_are_compared_with_labels_and_without(monitor, tmp_path):
    score = np.where(np.arange(ROWS) % 2, 0.9, 0.1)
    fairness = FairnessTests(groups=("city",))
    report = monitor(
        served(tmp_path, score=score), tell(tmp_path, outcomes()[2]), fairness=fairness
    )
    found = {one.name: one.state for one in report.measures if one.kind == FAIRNESS}
    assert found == dict.fromkeys(
        (
            "selection_rate_difference",
            "true_positive_rate_difference",
            "false_positive_rate_difference",
        ),
        ALARM,
    )


@pytest.mark.core
def test_before_labels_have_come_it_is_not_known_how_fair_the_truth_is(monitor, tmp_path):
    labels = Labels("labels/*.csv", "stays", folder=str(tmp_path))
    report = monitor(served(tmp_path), labels, fairness=FairnessTests(groups=("city",)))
    unknown = {one.name for one in report.measures if one.state == UNKNOWN}
    assert unknown >= {"true_positive_rate_difference", "false_positive_rate_difference"}


@pytest.mark.core
def test_predicted_numbers_are_measured_by_their_errors(monitor, tmp_path):
    random = np.random.default_rng(1)
    truth = random.normal(10, 2, ROWS)
    table = logged({"age": truth}, score=truth + random.normal(0, 1, ROWS))
    report = monitor(examples_of(table, tmp_path / "served"), tell(tmp_path, truth))
    assert by_name(report)["RootMeanSquaredError"].value == pytest.approx(1, abs=0.1)
    assert by_name(report)["MeanAbsoluteError"].value == pytest.approx(0.8, abs=0.1)


@pytest.mark.core
def test_rows_whose_score_is_no_number_are_not_measured(monitor, tmp_path):
    score = outcomes()[1]
    score[:300] = np.nan
    report = monitor(served(tmp_path, score=score), tell(tmp_path, outcomes()[2]))
    assert by_name(report)["AUC"].rows == ROWS - 300


@pytest.mark.core
def test_of_several_classes_the_share_that_is_right_is_measured(monitor, tmp_path):
    classes = np.array(["a", "b", "c"] * 700)[:ROWS]
    table = logged({"age": np.zeros(ROWS)}, score=[0.6] * ROWS, **{"class": classes})
    truth = np.where(np.arange(ROWS) % 4 == 0, "d", classes)
    report = monitor(examples_of(table, tmp_path / "served"), tell(tmp_path, truth))
    assert by_name(report)["Accuracy"].value == pytest.approx(0.75, abs=0.01)


@pytest.mark.core
def test_the_node_changes_when_labels_come(tmp_path):
    labels = Labels("labels/*.csv", "stays", folder=str(tmp_path))
    before = component.resolve({"labels": labels})
    tell(tmp_path, outcomes()[2])
    assert before == {"labels_fingerprint": ""}
    assert component.resolve({"labels": labels})["labels_fingerprint"]


@pytest.fixture
def trained(tmp_path: Path) -> dict[str, Any]:
    """A model, and the data that it was trained and evaluated on."""
    from sklearn.linear_model import LogisticRegression

    age, _, stays = outcomes(7)
    table = pa.table({"age": age, "stays": stays})
    model = artifacts.Model()
    model.uri = str(tmp_path / "model")
    fitted = LogisticRegression().fit(table.select(["age"]).to_pandas(), stays)
    save_model(fitted, str(tmp_path / "model" / "Format-Serving"), example=table.select(["age"]))
    return {"model": model, "baseline": [examples_of(table, tmp_path / "known", "eval", None)]}


@pytest.mark.needs("sklearn", "skops")
def test_metrics_are_held_against_those_of_the_evaluation(monitor, trained, tmp_path):
    report = monitor(served(tmp_path), tell(tmp_path, outcomes()[2]), **trained)
    auc = by_name(report)["AUC"]
    assert auc.reference == pytest.approx(0.85, abs=0.05)
    assert auc.threshold == pytest.approx(0.9 * auc.reference)
    assert report.alarms == ()


@pytest.mark.needs("sklearn", "skops")
def test_a_model_that_is_worse_than_it_was_rings(monitor, trained, tmp_path):
    shuffled = np.random.default_rng(3).permutation(outcomes()[2])
    report = monitor(served(tmp_path), tell(tmp_path, shuffled), **trained)
    assert {one.name for one in report.alarms} == {"AUC", "BinaryAccuracy"}


@pytest.mark.needs("sklearn", "skops")
def test_performance_is_estimated_before_labels_have_come(monitor, trained, tmp_path):
    labels = Labels("labels/*.csv", "stays", folder=str(tmp_path))
    report = monitor(served(tmp_path), labels, **trained)
    estimate = by_name(report, ESTIMATE)["AUC"]
    assert estimate.why == "estimated from scores, without labels"
    for name in ("report", "evaluation"):
        (tmp_path / name).rename(tmp_path / f"{name}-before")
    later = monitor(served(tmp_path / "again"), tell(tmp_path, outcomes()[2]), **trained)
    assert estimate.value == pytest.approx(by_name(later)["AUC"].value, abs=0.03)
