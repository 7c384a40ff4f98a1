"""LightGBM: boosters in LightGBM's own text, which holds trees and nothing that runs."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from penstock.errors import DataError
from penstock.models.flavor import Loading, Predictor, Saving, comes_from
from penstock.models.predictions import class_labels, classification, matrix_of, regression
from penstock.models.signature import Signature

NAME = "lightgbm"
MODULES = ("lightgbm",)
PACKAGES = ("lightgbm", "numpy", "scipy")

MODEL_FILE = "model.lightgbm.txt"

_CLASSIFICATION = ("binary", "multiclass", "multiclassova", "cross_entropy")


def recognizes(model: Any) -> bool:
    """Return whether a model is a booster, or one of LightGBM's estimators."""
    return comes_from(model, "lightgbm")


def is_in(directory: str) -> bool:
    """Return whether there is a file of a booster."""
    return os.path.isfile(os.path.join(directory, MODEL_FILE))


def inputs_of(model: Any) -> Sequence[str] | None:
    """Return the names of the features, unless LightGBM made them up."""
    names = list(_booster(model).feature_name())
    made_up = names == [f"Column_{index}" for index in range(len(names))]
    return None if made_up else names


def signature_in(directory: str) -> Signature | None:
    """Return None: LightGBM keeps no types."""
    del directory
    return None


def save(model: Any, saving: Saving) -> Mapping[str, Any]:
    """Write the booster up to its best round, and return the classes of a classifier."""
    booster = _booster(model)
    booster.save_model(os.path.join(saving.directory, MODEL_FILE), num_iteration=None)
    objective = _objective(booster.model_to_string(num_iteration=1))
    classes = saving.classes
    if hasattr(model, "classes_"):
        classes = class_labels(model.classes_, classes)
    elif classes is None and objective in _CLASSIFICATION:
        classes = tuple(range(max(2, booster.num_model_per_iteration())))
    return {"classes": None if classes is None else list(classes)}


def load(loading: Loading) -> Predictor:
    """Return the predictor of a booster."""
    import lightgbm
    import numpy as np

    path = os.path.join(loading.directory, MODEL_FILE)
    try:
        booster = lightgbm.Booster(model_file=path)
    except lightgbm.basic.LightGBMError as error:
        raise DataError(f"cannot read the model: {error}", path=path) from error
    classes = loading.details.get("classes")
    named = inputs_of(booster)
    with open(path, encoding="utf-8") as file:
        objective = _objective(file.read(10_000))

    def predict(table: Any) -> Any:
        columns = list(loading.inputs or named or table.schema.names)
        values = np.asarray(booster.predict(matrix_of(table, columns)))
        if classes is None and objective not in _CLASSIFICATION:
            return regression(values)
        width = 2 if values.ndim == 1 else values.shape[1]
        return classification(values, classes or range(width))

    return predict


def _booster(model: Any) -> Any:
    return model.booster_ if hasattr(model, "booster_") else model


def _objective(text: str) -> str:
    found = re.search(r"^objective=(\w+)", text, re.MULTILINE)
    return found.group(1) if found else ""
