"""XGBoost: boosters in XGBoost's own JSON, which holds trees and nothing that runs."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

from penstock.errors import DataError
from penstock.models.flavor import Loading, Predictor, Saving, comes_from
from penstock.models.predictions import classification, matrix_of, regression
from penstock.models.signature import Signature

NAME = "xgboost"
MODULES = ("xgboost",)
PACKAGES = ("xgboost", "numpy")

MODEL_FILE = "model.xgboost.json"


def recognizes(model: Any) -> bool:
    """Return whether a model is a booster, or one of XGBoost's estimators."""
    return comes_from(model, "xgboost")


def is_in(directory: str) -> bool:
    """Return whether there is a file of a booster."""
    return os.path.isfile(os.path.join(directory, MODEL_FILE))


def inputs_of(model: Any) -> Sequence[str] | None:
    """Return the names of the features that a booster was trained with."""
    names = _booster(model).feature_names
    return None if names is None else list(names)


def signature_in(directory: str) -> Signature | None:
    """Return None: XGBoost keeps no types."""
    del directory
    return None


def save(model: Any, saving: Saving) -> Mapping[str, Any]:
    """Write the booster, and return the classes of a classifier."""
    booster = _booster(model)
    objective = _objective(booster)
    booster.save_model(os.path.join(saving.directory, MODEL_FILE))
    classes = saving.classes
    if classes is None and objective.startswith(("binary:", "multi:")):
        count = max(2, int(_learner(booster)["learner_model_param"]["num_class"]))
        classes = tuple(range(count))
    return {"objective": objective, "classes": None if classes is None else list(classes)}


def load(loading: Loading) -> Predictor:
    """Return the predictor of a booster."""
    import xgboost

    path = os.path.join(loading.directory, MODEL_FILE)
    booster = xgboost.Booster()
    try:
        booster.load_model(path)
    except xgboost.core.XGBoostError as error:
        raise DataError(
            f"cannot read the model: {str(error).strip().splitlines()[-1]}", path=path
        ) from error
    booster.set_param({"device": "cpu"})
    objective = loading.details.get("objective") or _objective(booster)
    classes = loading.details.get("classes")
    names = booster.feature_names
    rounds = _rounds(booster)

    def predict(table: Any) -> Any:
        columns = list(names or loading.inputs or table.schema.names)
        matrix = matrix_of(table, columns, "float32")
        data = xgboost.DMatrix(matrix, feature_names=names)
        values = booster.predict(data, iteration_range=rounds, output_margin=False)
        if not objective.startswith(("binary:", "multi:")):
            return regression(values)
        if objective == "multi:softmax":
            values = booster.predict(data, iteration_range=rounds, output_margin=True)
            values = _softmax(values)
        if objective in ("binary:logitraw", "binary:hinge"):
            values = _as_probability(values, objective)
        return classification(values, classes or range(_width(values)))

    return predict


def _booster(model: Any) -> Any:
    return model.get_booster() if hasattr(model, "get_booster") else model


def _learner(booster: Any) -> Any:
    return json.loads(booster.save_config())["learner"]


def _objective(booster: Any) -> str:
    return str(_learner(booster)["objective"]["name"])


def _rounds(booster: Any) -> tuple[int, int]:
    """Return the rounds to predict with: up to the best one where training stopped early."""
    best = booster.attr("best_iteration")
    return (0, 0) if best is None else (0, int(best) + 1)


def _softmax(margins: Any) -> Any:
    import numpy as np

    powers = np.exp(margins - margins.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def _as_probability(values: Any, objective: str) -> Any:
    import numpy as np

    return values if objective == "binary:hinge" else 1 / (1 + np.exp(-values))


def _width(values: Any) -> int:
    return 2 if values.ndim == 1 else int(values.shape[1])
