"""The models that an evaluation is of: which engine is theirs, and how they are asked."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Sequence
from typing import Any

from penstock.artifacts import Model
from penstock.components.evaluator.arrow.reading import Evaluated
from penstock.errors import ParameterError
from penstock.models import layout
from penstock.models.facts import read_facts
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


def evaluated_models(
    config: Any, model: Model | None, baseline_model: Model | None
) -> list[Evaluated]:
    """Return the models of a completed config, loaded by their flavors.

    Without a model the rows have the predictions, in the columns that the model specs name.

    Raises:
      ParameterError: nothing says where predictions are.
    """
    evaluated = []
    for spec in config.model_specs:
        if model is None:
            evaluated.append(_of_predictions(spec))
            continue
        artifact = baseline_model if spec.is_baseline else model
        if artifact is None:
            raise ParameterError(f"the model spec {spec.name!r} asks for a baseline_model")
        evaluated.append(_loaded(spec.name, artifact))
    return evaluated


def _of_predictions(spec: Any) -> Evaluated:
    key = spec.prediction_key
    if not key:
        raise ParameterError(
            "Evaluator should be given a model, or model specs with a prediction_key",
            hint="The prediction_key names the feature that holds the prediction.",
        )
    return Evaluated(
        spec.name,
        lambda table: table.select([name for name in table.schema.names if name == key]),
    )


def _loaded(name: str, artifact: Model) -> Evaluated:
    from penstock.models.loading import load_model

    model = load_model(artifact)
    outputs: Sequence[Any] = model.signature.outputs if model.signature else ()
    classes = {column.name: column.classes for column in outputs if column.classes is not None}
    return Evaluated(name, model.predict, classes, model.directory)
