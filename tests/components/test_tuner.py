"""Tuner: TFX's tuner code unedited, one trial after another and several at once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from penstock import LocalRunner
from penstock.components.trainer.hyperparameters import read_hyperparameters
from penstock.components.tuner import executor
from penstock.errors import UserCodeError
from penstock_support.tuned_pipelines import tuning

pytestmark = pytest.mark.needs("keras_tuner", "tensorflow_transform")


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tuned")
    runner = LocalRunner(pipeline_root=str(folder), metadata=str(folder / "metadata.sqlite"))
    return runner.run(tuning).nodes


def output_of(node, key):
    [artifact] = node.outputs[key]
    return Path(artifact.uri)


@pytest.mark.parametrize("node", ["tuner_of_1", "tuner_of_2"])
def test_tfx_tuner_code_finds_hyperparameters_that_a_trainer_takes(tuned, node):
    best = read_hyperparameters(str(output_of(tuned[node], "best_hyperparameters")))
    assert best["learning_rate"] in (1e-1, 1e-3)
    assert 1 <= best["num_layers"] <= 5


@pytest.mark.parametrize("node", ["tuner_of_1", "tuner_of_2"])
def test_the_best_hyperparameters_are_a_config_of_keras_tuner(tuned, node):
    import keras_tuner

    written = output_of(tuned[node], "best_hyperparameters") / "best_hyperparameters.txt"
    read = keras_tuner.HyperParameters.from_config(json.loads(written.read_text()))
    assert read.get("learning_rate") in (1e-1, 1e-3)


@pytest.mark.parametrize("node", ["tuner_of_1", "tuner_of_2"])
def test_every_trial_is_kept_with_its_score_the_best_first(tuned, node):
    written = output_of(tuned[node], "tuner_results") / "tuner_results.json"
    trials = json.loads(written.read_text())
    assert [set(trial) for trial in trials] == [
        {"trial_id", "score", "learning_rate", "num_layers"}
    ] * 3
    assert trials == sorted(trials, key=lambda trial: -trial["score"])


def test_trials_at_once_are_run_by_several_processes(tuned):
    log = Path(tuned["tuner_of_2"].log_path).read_text()
    assert "one after another" not in log


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("return 3", "tuner_fn returned int where a TunerFnResult is expected"),
        ("raise ValueError('no data')", "tuner_fn failed: ValueError: no data"),
    ],
)
def test_tuner_code_that_does_not_do_is_told(taxi_examples, tmp_path, text, told):
    module = tmp_path / "code.py"
    module.write_text(f"def tuner_fn(fn_args):\n    {text}\n")
    with pytest.raises(UserCodeError, match=told):
        executor.tune(
            examples=[taxi_examples],
            best_hyperparameters_uri=str(tmp_path / "best"),
            tuner_results_uri=str(tmp_path / "results"),
            module_file=str(module),
        )
