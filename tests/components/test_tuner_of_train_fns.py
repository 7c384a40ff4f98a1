"""Searching for the hyperparameters of a train_fn, of any framework."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from penstock import LocalRunner
from penstock.components.trainer.hyperparameters import read_hyperparameters
from penstock_support.tuned_pipelines import searching

pytestmark = pytest.mark.needs("sklearn", "skops", "tfx.components")


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    folder = tmp_path_factory.mktemp("searched")
    runner = LocalRunner(pipeline_root=str(folder), metadata=str(folder / "metadata.sqlite"))
    return runner.run(searching).nodes


def output_of(node, key):
    [artifact] = node.outputs[key]
    return Path(artifact.uri)


def trials_of(node):
    return json.loads((output_of(node, "tuner_results") / "tuner_results.json").read_text())


def test_the_best_hyperparameters_are_those_of_the_highest_objective(searched):
    best = output_of(searched["two_at_a_time"], "best_hyperparameters")
    assert read_hyperparameters(str(best)) == {"depth": 5}


def test_the_lowest_objective_is_the_best_where_that_is_asked_for(searched):
    best = output_of(searched["the_worst"], "best_hyperparameters")
    assert read_hyperparameters(str(best)) == {"depth": 1}


def test_a_trial_that_fails_is_left_out_and_told(searched):
    assert [trial["depth"] for trial in trials_of(searched["two_at_a_time"])] == [5, 1]
    log = Path(searched["two_at_a_time"].log_path).read_text()
    assert "Trial 2: depth 13: tree failed: ValueError: 13 is no good depth" in log


def test_trials_are_the_same_at_once_and_one_after_another(searched):
    at_once, in_turn = trials_of(searched["two_at_a_time"]), trials_of(searched["the_worst"])
    assert at_once == in_turn[::-1]


def test_a_trainer_takes_the_best_hyperparameters(searched):
    [model] = searched["Trainer"].outputs["model"]
    metrics = json.loads(model.get_string_custom_property("metrics"))
    assert metrics["accuracy"] == trials_of(searched["two_at_a_time"])[0]["score"]
