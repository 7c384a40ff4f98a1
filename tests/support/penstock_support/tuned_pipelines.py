"""Pipelines that search for hyperparameters with TFX's own tuner module."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from penstock import pipeline
from penstock.components import ImportExampleGen, ImportSchemaGen, Trainer, Tuner
from penstock.components.trainer.component import EvalArgs, TrainArgs
from penstock.components.tuner.component import TuneArgs
from penstock.data.splits import InputConfig, InputSplit
from penstock.models import TrainedModel


def testdata() -> Path:
    found = importlib.util.find_spec("tfx")
    assert found is not None, "TFX is installed"
    assert found.origin is not None, "it is a package"
    return Path(found.origin).parent / "components" / "testdata"


def _examples():
    return ImportExampleGen(
        input_base=str(testdata() / "penguin" / "data"),
        input_config=InputConfig(
            splits=(InputSplit("train", "Split-train/*"), InputSplit("eval", "Split-eval/*"))
        ),
    )


@pipeline
def tuning():
    """Search one trial after another, and two at a time."""
    examples = _examples()
    schema = ImportSchemaGen(schema_file=str(testdata() / "penguin" / "schema" / "schema.pbtxt"))
    return [
        Tuner(
            examples=examples.outputs["examples"],
            schema=schema.outputs["schema"],
            module_file=str(testdata() / "module_file" / "tuner_module.py"),
            train_args=TrainArgs(num_steps=100),
            eval_args=EvalArgs(num_steps=20),
            tune_args=TuneArgs(num_parallel_trials=parallel),
        ).with_id(f"tuner_of_{parallel}")
        for parallel in (1, 2)
    ]


def tree(training):
    """Train a tree of scikit-learn's; it fails at the depth 13."""
    from sklearn.tree import DecisionTreeClassifier

    depth = training.parameters["depth"]
    if depth == 13:
        raise ValueError("13 is no good depth")
    features = ["culmen_length_mm", "flipper_length_mm"]
    train, held_out = training.train.as_arrow(), training.eval.as_arrow()
    model = DecisionTreeClassifier(max_depth=depth, random_state=training.seed)
    model.fit(train.select(features).to_pandas(), train["species"].to_pylist())
    accuracy = model.score(held_out.select(features).to_pandas(), held_out["species"].to_pylist())
    return TrainedModel(model, metrics={"accuracy": accuracy})


@pipeline
def searching():
    """Search with a train_fn, and train with what is found."""
    examples = _examples()
    usual = {
        "examples": examples.outputs["examples"],
        "train_fn": tree,
        "search": {"depth": [1, 5, 13]},
        "objective": "accuracy",
    }
    best = Tuner(**usual, tune_args=TuneArgs(num_parallel_trials=2)).with_id("two_at_a_time")
    trainer = Trainer(
        examples=examples.outputs["examples"],
        train_fn=tree,
        hyperparameters=best.outputs["best_hyperparameters"],
    )
    worst = Tuner(**usual, direction="min").with_id("the_worst")
    return [best, trainer, worst]
