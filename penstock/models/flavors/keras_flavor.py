"""Keras: models in the `.keras` format, loaded in safe mode, which runs no lambdas."""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping, Sequence
from typing import Any

from penstock.errors import DataError
from penstock.models.flavor import Loading, Predictor, Saving, comes_from
from penstock.models.predictions import array_of, classification, matrix_of, regression
from penstock.models.signature import Signature

NAME = "keras"
MODULES = ("keras",)
PACKAGES = ("keras", "tf_keras", "tensorflow", "numpy")

MODEL_FILE = "model.keras"

_KERAS_2 = "tf_keras"


def recognizes(model: Any) -> bool:
    """Return whether a model is one of Keras 3, or of Keras 2 by its new name."""
    return comes_from(model, "keras", _KERAS_2) and hasattr(model, "predict_on_batch")


def is_in(directory: str) -> bool:
    """Return whether there is a `.keras` file."""
    return os.path.isfile(os.path.join(directory, MODEL_FILE))


def inputs_of(model: Any) -> Sequence[str] | None:
    """Return the names of a model's inputs, if it has several: one may be a matrix."""
    names = _input_names(model)
    return names if len(names) > 1 else None


def signature_in(directory: str) -> Signature | None:
    """Return None: the names of inputs may be those of columns, or not."""
    del directory
    return None


def save(model: Any, saving: Saving) -> Mapping[str, Any]:
    """Write the `.keras` file.

    Raises:
      DataError: the model would not load in safe mode: it has a Lambda layer, or a class of its
        own.
    """
    path = os.path.join(saving.directory, MODEL_FILE)
    model.save(path)
    library = _KERAS_2 if comes_from(model, _KERAS_2) else "keras"
    _loaded(library, path)
    return {
        "library": library,
        "foreign_types": [_KERAS_2] if library == _KERAS_2 else [],
        "classes": None if saving.classes is None else list(saving.classes),
    }


def load(loading: Loading) -> Predictor:
    """Return the predictor of a `.keras` file."""
    library = loading.details.get("library", "keras")
    if library not in ("keras", _KERAS_2):
        raise DataError(f"a model of Keras names the library {library!r}", path=loading.directory)
    if library == _KERAS_2 and _KERAS_2 not in loading.trusted:
        raise DataError(
            "the model is one of Keras 2, whose files can name any function to be called: it is "
            "not loaded",
            path=loading.directory,
            hint=f"If you trust it: load_model(..., trusted=[{_KERAS_2!r}]). Or train it with "
            "Keras 3.",
        )
    model = _loaded(library, os.path.join(loading.directory, MODEL_FILE))
    classes = loading.details.get("classes")
    keys = _input_names(model)

    def predict(table: Any) -> Any:
        names = list(loading.inputs or table.schema.names)
        values = model.predict_on_batch(_fed(model, keys, table, names))
        return regression(values) if classes is None else classification(values, classes)

    return predict


def _loaded(library: str, path: str) -> Any:
    keras = importlib.import_module(library)
    saving = keras.saving
    try:
        return saving.load_model(path, safe_mode=True, compile=False)
    except Exception as error:  # what is in the file decides what Keras raises
        raise DataError(
            f"the model does not load in Keras' safe mode: {type(error).__name__}: "
            f"{str(error).strip().splitlines()[0]}",
            path=path,
            hint="Lambda layers and layers of your own are code: use Keras' layers, or save a "
            "SavedModel from run_fn.",
        ) from error


def _inputs(model: Any) -> list[Any]:
    given = model.inputs
    return list(given) if isinstance(given, list | tuple) else [given]


def _input_names(model: Any) -> list[str]:
    structure = getattr(model, "input", None)
    if isinstance(structure, Mapping):
        return list(structure)
    return [str(given.name).partition(":")[0] for given in _inputs(model)]


def _fed(model: Any, keys: list[str], table: Any, names: list[str]) -> Any:
    inputs = _inputs(model)
    if len(inputs) == 1 and keys[0] not in names:
        return matrix_of(table, names, "float32")
    fed = {}
    for key, given in zip(keys, inputs, strict=True):
        array = array_of(table, key)
        if array.dtype.kind == "O":
            fed[key] = _texts(array, len(given.shape))
        else:
            kind = str(getattr(given.dtype, "name", given.dtype))
            fed[key] = array.astype(kind).reshape(
                len(array), *([] if len(given.shape) == 1 else [-1])
            )
    if isinstance(getattr(model, "input", None), Mapping):
        return fed
    return fed[keys[0]] if len(keys) == 1 else [fed[key] for key in keys]


def _texts(array: Any, rank: int) -> Any:
    import tensorflow

    texts = tensorflow.constant([value or "" for value in array], tensorflow.string)
    return texts if rank == 1 else tensorflow.reshape(texts, [-1, 1])
