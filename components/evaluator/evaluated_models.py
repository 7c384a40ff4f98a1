"""The models that an evaluation is of: which engine is theirs, and how they are asked."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from penstock.artifacts import Model
from penstock.components.evaluator.arrow.reading import Evaluated
from penstock.errors import ParameterError
from penstock.models import layout
from penstock.models.facts import read_facts
from penstock.models.loading import load_model, trusted_code
from penstock.models.transforming.fitted import read_features

_SAVED_MODEL_FLAVOR = "tensorflow"


def has_tfma() -> bool:
    """Return whether TensorFlow Model Analysis is installed."""
    return importlib.util.find_spec("tensorflow_model_analysis") is not None


def is_saved_model(model: Model) -> bool:
    """Return whether a model is a SavedModel and nothing else, as TFMA evaluates them."""
    evaluation = layout.evaluation_model(model.uri)
    if evaluation != layout.serving_model(model.uri):
        return True  # an Estimator's graph
    if not os.path.isfile(os.path.join(evaluation, layout.SAVED_MODEL_FILE)):
        return False
    facts = read_facts(evaluation)
    if facts is not None and facts.flavor != _SAVED_MODEL_FLAVOR:
        return False
    return read_features(evaluation) is None


@dataclass(frozen=True)
class PlacedModel:
    """Where a model is, and the code that may run for it: all that it takes to load it."""

    uri: str
    trusted: tuple[str, ...] = ()

    @classmethod
    def of(cls, artifact: Model | None) -> PlacedModel | None:
        """Return the place of an artifact, if there is one."""
        return None if artifact is None else cls(artifact.uri, trusted_code(artifact))


def locations(
    config: Any, model: PlacedModel | None, baseline: PlacedModel | None
) -> dict[str, str]:
    """Return where the models of a completed config are, "" for predictions that rows have.

    Raises:
      ParameterError: nothing says where predictions are, or a model.
      DataError: there is no model.
    """
    found = {}
    for spec in config.model_specs:
        if model is None:
            _check_predictions(spec)
            found[spec.name] = ""
            continue
        placed = baseline if spec.is_baseline else model
        if placed is None:
            raise ParameterError(f"the model spec {spec.name!r} asks for a baseline_model")
        found[spec.name] = layout.model_directory(placed.uri)
    return found


def evaluated_models(
    config: Any, model: PlacedModel | None, baseline: PlacedModel | None
) -> list[Evaluated]:
    """Return the models of a completed config, loaded by their flavors.

    Without a model the rows have the predictions, in the columns that the model specs name.

    Raises:
      ParameterError: nothing says where predictions are, or a model.
      DataError: there is no model, or its format would run code.
    """
    locations(config, model, baseline)
    evaluated = []
    for spec in config.model_specs:
        placed = baseline if spec.is_baseline else model
        evaluated.append(
            _of_predictions(spec) if model is None or placed is None else _loaded(spec.name, placed)
        )
    return evaluated


def _check_predictions(spec: Any) -> None:
    if not spec.prediction_key:
        raise ParameterError(
            "Evaluator should be given a model, or model specs with a prediction_key",
            hint="The prediction_key names the feature that holds the prediction.",
        )


def _of_predictions(spec: Any) -> Evaluated:
    key = spec.prediction_key
    return Evaluated(
        spec.name,
        lambda table: table.select([name for name in table.schema.names if name == key]),
    )


def _loaded(name: str, placed: PlacedModel) -> Evaluated:
    model = load_model(placed.uri, trusted=placed.trusted)
    outputs: Sequence[Any] = model.signature.outputs if model.signature else ()
    classes = {column.name: column.classes for column in outputs if column.classes is not None}
    return Evaluated(name, model.predict, classes, model.directory)
