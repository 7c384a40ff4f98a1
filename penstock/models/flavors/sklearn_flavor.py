"""scikit-learn: estimators and pipelines, as skops files, which load without unpickling."""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping, Sequence
from typing import Any

from penstock.errors import DataError
from penstock.models.flavor import Loading, Predictor, Saving, comes_from
from penstock.models.predictions import class_labels, classification, matrix_of, regression
from penstock.models.signature import Signature

NAME = "sklearn"
MODULES = ("sklearn", "skops.io")
PACKAGES = ("scikit-learn", "skops", "numpy", "scipy", "pandas")

MODEL_FILE = "model.skops"

# Where classes come from that may be in a model. Functions of theirs are code: one that is called
# with the rows could be any.
_PACKAGES = ("sklearn", "numpy", "scipy", "xgboost", "lightgbm", "catboost")
_OTHERS = (
    "numpy.distutils",
    "numpy.f2py",
    "numpy.testing",
    "sklearn.datasets",
    "sklearn.externals",
    "sklearn.tests",
    "sklearn.utils._testing",
)


def recognizes(model: Any) -> bool:
    """Return whether a model is an estimator of scikit-learn's kind that can predict."""
    return comes_from(model, "sklearn") and hasattr(model, "predict")


def is_in(directory: str) -> bool:
    """Return whether there is a skops file."""
    return os.path.isfile(os.path.join(directory, MODEL_FILE))


def inputs_of(model: Any) -> Sequence[str] | None:
    """Return the columns of the data frame that a model was fitted on."""
    names = getattr(model, "feature_names_in_", None)
    return None if names is None else [str(name) for name in names]


def signature_in(directory: str) -> Signature | None:
    """Return None: a skops file says nothing of types."""
    del directory
    return None


def save(model: Any, saving: Saving) -> Mapping[str, Any]:
    """Write a skops file, and return the types in it that are not of numbers and parameters.

    Raises:
      DataError: the model holds code that skops would not load.
    """
    from skops import io

    path = os.path.join(saving.directory, MODEL_FILE)
    try:
        io.dump(model, path)
    except Exception as error:  # skops raises what the objects in a model raise
        raise DataError(
            f"the model cannot be written as skops: {type(error).__name__}: {error}",
            hint="Lambdas and functions of your own cannot be part of it: use scikit-learn's "
            "transformers, or penstock.models.features for what comes before the model.",
        ) from error
    foreign = [name for name in io.get_untrusted_types(file=path) if not _is_data(name)]
    details: dict[str, Any] = {"foreign_types": foreign}
    if hasattr(model, "predict_proba"):
        details["classes"] = list(class_labels(model.classes_, saving.classes))
    return details


def load(loading: Loading) -> Predictor:
    """Return the predictor of a skops file.

    Raises:
      DataError: it holds types that nobody said may run.
    """
    from skops import io

    path = os.path.join(loading.directory, MODEL_FILE)
    try:
        types = io.get_untrusted_types(file=path)
    except Exception as error:  # whatever a broken file makes zipfile and json raise
        raise DataError(f"cannot read the model: {type(error).__name__}: {error}", path=path) from (
            error
        )
    foreign = [name for name in types if not _is_data(name) and name not in loading.trusted]
    if foreign:
        raise DataError(
            f"the model holds {', '.join(foreign)}, which is code that comes from elsewhere: it "
            "is not loaded",
            path=path,
            hint=f"If you trust it: load_model(..., trusted={foreign!r}).",
        )
    try:
        model = io.load(path, trusted=types)
    except Exception as error:
        raise DataError(f"cannot read the model: {type(error).__name__}: {error}", path=path) from (
            error
        )
    return predictor(model, loading.inputs, loading.details.get("classes"))


def predictor(
    model: Any, inputs: Sequence[str] | None, classes: Sequence[Any] | None = None
) -> Predictor:
    """Return the predictor of an estimator in memory."""
    named = inputs_of(model)

    def predict(table: Any) -> Any:
        names = list(inputs or named or table.schema.names)
        rows = matrix_of(table, names) if named is None else table.select(named).to_pandas()
        if hasattr(model, "predict_proba"):
            labels = classes or _plain(model.classes_)
            return classification(model.predict_proba(rows), labels)
        predicted = model.predict(rows)
        if getattr(model, "_estimator_type", None) == "classifier" or hasattr(model, "classes_"):
            return _labels(predicted)
        return regression(predicted)

    return predict


def _labels(predicted: Any) -> Any:
    import pyarrow as pa

    return pa.table({"prediction": pa.array(_plain(predicted))})


def _plain(values: Any) -> list[Any]:
    return [value.item() if hasattr(value, "item") else value for value in values]


def _is_data(name: str) -> bool:
    """Return whether a name that skops found is a class whose objects only hold values.

    Others may do anything when they are made, or go: numpy's DataSource removes a folder.
    """
    module, _, attribute = name.rpartition(".")
    package = module.partition(".")[0]
    if package not in _PACKAGES or module.startswith(_OTHERS) or "__" in name:
        return False
    try:
        kind = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError):
        return False
    if not isinstance(kind, type) or hasattr(kind, "__del__"):
        return False
    if package == "numpy":
        import numpy

        values = (numpy.generic, numpy.dtype, numpy.ndarray, *_generators())
        return issubclass(kind, values) and not issubclass(kind, numpy.memmap)
    if package == "scipy":
        return module.startswith(("scipy.sparse.", "scipy.interpolate."))
    if package == "sklearn":
        return True
    from sklearn.base import BaseEstimator

    return issubclass(kind, BaseEstimator)


def _generators() -> tuple[type, ...]:
    from numpy import random

    return (random.RandomState, random.Generator, random.BitGenerator)
