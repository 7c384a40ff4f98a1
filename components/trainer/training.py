"""Training by a `train_fn`: what it is given, and the model that it returns, saved and checked."""

from __future__ import annotations

import json
import math
import os
import random
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from penstock.artifacts import Examples, Model
from penstock.components.schema_gen.schema_file import read_schema
from penstock.components.trainer.facts import record_facts
from penstock.components.trainer.hyperparameters import read_hyperparameters
from penstock.data.splits import split_files
from penstock.errors import DataError, PenstockError, UserCodeError
from penstock.models.checking import FreshProcess, fresh_process
from penstock.models.facts import ModelFacts
from penstock.models.flavor import code_in
from penstock.models.known_flavors import flavor_named, flavor_names, flavor_of
from penstock.models.layout import serving_model_directory
from penstock.models.loading import load_from
from penstock.models.saving import save_model
from penstock.models.training import TrainedModel, Training, trained_model
from penstock.models.training_data import TrainingData
from penstock.project import user_code

METRICS_FILE = "metrics.json"

# A fresh process may add up floats in another order.
_TOLERANCE = 1e-5


def train(
    *,
    examples: Sequence[Examples],
    model: Model,
    model_run_uri: str,
    train_fn: str,
    schema_uri: str | None = None,
    hyperparameters_uri: str | None = None,
    module_file: str | None = None,
    module_path: str | None = None,
    seed: int = 0,
    train_splits: Sequence[str] = (),
    eval_splits: Sequence[str] = (),
    parameters: Mapping[str, Any] | None = None,
) -> None:
    """Call the user's `train_fn`, save the model that it returns, and ask it in a fresh process."""
    function = user_code.load_function(
        "train_fn", module_file=module_file, module_path=module_path, function=train_fn
    )
    schema = read_schema(schema_uri) if schema_uri else None
    hyperparameters = read_hyperparameters(hyperparameters_uri) if hyperparameters_uri else {}
    training = Training(
        train=data_of(examples, train_splits or ["train"], schema),
        eval=data_of(examples, eval_splits or ["eval"], schema),
        parameters={**(parameters or {}), **hyperparameters},
        schema=schema,
        seed=seed,
        log_directory=model_run_uri,
    )
    seed_all(seed)
    name = getattr(function, "__name__", train_fn)
    directory = serving_model_directory(model.uri)
    # It imports the framework while this process trains.
    with fresh_process(_loaded_frameworks()) as fresh:
        trained = trained_model(user_code.run(function, training), name)
        try:
            facts = save(trained, training.train, directory)
        except PenstockError:
            raise
        except Exception as error:  # saving runs code of the framework's and of the user's model
            raise user_code.error_of(function, error) from error
        record_facts(facts, model)
        _record_metrics(trained.metrics, model, model_run_uri, name)
        check(facts, directory, fresh)


def save(trained: TrainedModel, data: TrainingData, directory: str) -> ModelFacts:
    """Save a model with an example of the rows that it was trained on.

    Raises:
      UserCodeError: nobody knows which columns it takes.
    """
    flavor = flavor_named(trained.flavor) if trained.flavor else flavor_of(trained.model)
    columns: Sequence[str] | None = trained.inputs
    if trained.features is not None:
        columns = trained.features.inputs
    elif columns is None:
        columns = flavor.inputs_of(trained.model)
    example = next(iter(data.batches(rows=1_000)), None)
    if example is None:
        raise DataError("there are no rows to train on", path=data.files[0] if data.files else None)
    if columns is None:
        if trained.label is None and flavor.NAME != "tensorflow":
            raise UserCodeError(
                f"which of the columns does the model take? A model of {flavor.NAME} does not say "
                "so itself",
                hint="Return TrainedModel(model, inputs=[...]), or with features or the label: "
                "then it takes all other columns.",
            )
        columns = [name for name in example.schema.names if name != trained.label]
    present = [name for name in columns if name in example.schema.names]
    table = pa.Table.from_batches([example])
    # What is wrong with a name that is missing is said where the model is saved.
    return save_model(
        trained.model,
        directory,
        example=table.select(present) if len(present) == len(columns) else table,
        flavor=flavor.NAME,
        features=trained.features,
        classes=trained.classes,
        optional=_with_nulls(data, present),
        options=trained.options,
    )


def check(facts: ModelFacts, directory: str, fresh: FreshProcess) -> None:
    """Raise UserCodeError where a fresh process cannot load the model, or predicts other values."""
    code = code_in(facts.details)
    if code:
        print(
            f"The model holds code beyond its framework's: {', '.join(code)}. "
            f"Whoever loads it says that it may run: load_model(..., trusted={list(code)!r})."
        )
    try:
        there = fresh.ask(directory, trusted=code)
    except DataError as error:
        raise UserCodeError(error.message, path=directory, hint=error.hint) from error
    here = load_from(directory, facts, trusted=code).predict(facts.example)
    assert there.predictions is not None  # what was just saved has an example
    _check_equal(here, there.predictions, directory)
    print(
        f"The model ({facts.flavor}) loads in a fresh process in {there.load_seconds:.1f} s and "
        f"predicts its example."
    )


def _check_equal(here: pa.Table, there: pa.Table, directory: str) -> None:
    for name in here.schema.names:
        expected, given = here.column(name).to_pylist(), there.column(name).to_pylist()
        for row, (ours, theirs) in enumerate(zip(expected, given, strict=True)):
            if not _alike(ours, theirs):
                raise UserCodeError(
                    f"the model predicts other values in a fresh process: {name} of row {row} of "
                    f"its example is {theirs!r} there and {ours!r} here",
                    path=directory,
                    hint="Is something of it random, or taken from the environment?",
                )


def _alike(ours: Any, theirs: Any) -> bool:
    if isinstance(ours, list):
        return len(ours) == len(theirs) and all(map(_alike, ours, theirs))
    if isinstance(ours, float) and isinstance(theirs, float):
        both_nan = math.isnan(ours) and math.isnan(theirs)
        return both_nan or math.isclose(ours, theirs, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE)
    return bool(ours == theirs)


def data_of(examples: Sequence[Examples], splits: Sequence[str], schema: Any) -> TrainingData:
    """Return the rows of some splits of all artifacts.

    Raises:
      DataError: an artifact lacks one of the splits or its files.
    """
    files = [
        file for split in splits for artifact in examples for file in split_files(artifact, split)
    ]
    return TrainingData(tuple(files), schema)


def _with_nulls(data: TrainingData, columns: Sequence[str]) -> list[str]:
    """Return the columns that lack values somewhere in the training data."""
    found: set[str] = set()
    for batch in data.batches(columns=columns):
        found |= {name for name in columns if batch.column(name).null_count}
    return sorted(found)


def _loaded_frameworks() -> list[str]:
    """Return what loading models needs of the frameworks that training code has imported."""
    flavors = map(flavor_named, flavor_names())
    return [m for flavor in flavors if flavor.MODULES[0] in sys.modules for m in flavor.MODULES]


def seed_all(seed: int) -> None:
    """Seed all sources of randomness that there are, but those of frameworks still to come."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.manual_seed(seed)


def numbers_of(metrics: Mapping[str, Any], name: str) -> dict[str, float]:
    """Return the metrics that the training code of that name has returned.

    Raises:
      UserCodeError: one is no number.
    """
    numbers = {}
    for key, value in metrics.items():
        try:
            numbers[str(key)] = float(value)
        except (TypeError, ValueError) as error:
            raise UserCodeError(
                f"the metrics of {name} should be numbers, and {key} is {value!r}"
            ) from error
    return numbers


def _record_metrics(
    metrics: Mapping[str, Any], model: Model, model_run_uri: str, name: str
) -> None:
    numbers = numbers_of(metrics, name)
    if not numbers:
        return
    with open(os.path.join(model_run_uri, METRICS_FILE), "w", encoding="utf-8") as file:
        json.dump(numbers, file, indent=1)
    model.set_string_custom_property("metrics", json.dumps(numbers))
    print("Metrics: " + ", ".join(f"{key} {value:.6g}" for key, value in numbers.items()) + ".")
