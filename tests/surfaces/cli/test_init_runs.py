"""Twins of real tables, from `penstock init` to a pushed model, run from another folder."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from penstock.data.results.evaluation import summarize
from penstock.data.results.training_curves import read_curves
from penstock_support.new_project import init, run_in
from penstock_support.newcomers_data import TWINS

# The kinds of labels, and of rows that are sorted by them: a framework each.
FRAMEWORKS = {"diamonds": "keras", "weather": "lightgbm", "cars": "sklearn"}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Return a run of one of the twins, made once: its metrics by slice, and its folder."""
    made: dict[str, SimpleNamespace] = {}

    def of(name: str) -> SimpleNamespace:
        if name not in made:
            folder = tmp_path_factory.mktemp(name)
            make, label = TWINS[name]
            given = ("--data", make(folder), "--label", label, "--framework", FRAMEWORKS[name])
            project = folder / f"of_{name}"
            init(project, *given)
            done = run_in(project, "penstock", "run", project.name, "--json")
            assert done.returncode == 0, done.stdout + done.stderr
            [evaluation] = project.glob(".penstock/*/Evaluator/evaluation/*")
            [training] = project.glob(".penstock/*/Trainer/model_run/*")
            metrics = {(m.slice, m.metric): m for m in summarize(str(evaluation))}
            made[name] = SimpleNamespace(
                folder=project,
                metrics=metrics,
                curves=read_curves(str(training)),
                told=json.loads(done.stdout),
            )
        return made[name]

    return of


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_a_model_is_pushed(run, name):
    assert list((run(name).folder / "serving").rglob("penstock_model.json"))


def test_rows_that_are_sorted_by_their_label_are_learned(run):
    metrics = run("diamonds").metrics
    # To say the mean always has 3135.
    assert metrics["Overall", "root_mean_squared_error"].value < 800
    assert metrics["Overall", "r2_score"].value > 0.9


def test_a_model_of_keras_has_slices_and_intervals(run):
    metric = run("diamonds").metrics["cut:Ideal", "mean_absolute_error"]
    assert metric.lower < metric.value < metric.upper


@pytest.mark.parametrize("kind", ["rain", "snow"])
def test_each_class_has_a_recall_of_its_own(run, kind):
    assert ("Overall", f"recall of {kind}") in run("weather").metrics


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_training_and_validation_have_curves(run, name):
    curves = {
        curve.run: curve for curve in run(name).curves if "loss" in curve.tag or "rmse" in curve.tag
    }
    assert {"train", "validation"} <= set(curves)
    assert len(curves["validation"].steps) > 5
