"""What TFMA's errors mean: it shows the arrays that a metric could not take, and not why."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from penstock.components.evaluator.extraction import first_extracts
from penstock.components.evaluator.job import Job
from penstock.errors import DataError, ParameterError, PenstockError, suggestion

_NO_SIGNATURE = re.compile(r"^(.+?) not found in model signatures", re.MULTILINE)
_NO_METRIC = re.compile(r"Unknown metric function: '?([^'.]+)'?")
_REFUSED = "add_input failed on"


def explained(error: BaseException, job: Job) -> PenstockError | None:
    """Return an error that says what a job's config and model have wrong; None if that is unknown.

    `error` is what TFMA or Beam raised.
    """
    text = str(error)
    if match := _NO_SIGNATURE.search(text):
        names = re.findall(r"'([^']+)': <ConcreteFunction", text)
        return ParameterError(
            f"the model has no signature {match[1]!r}, which a model spec of eval_config names",
            hint=suggestion(match[1], names, noun="signature"),
        )
    if match := _NO_METRIC.search(text):
        return ParameterError(
            f"eval_config names the metric {match[1]!r}, which neither TFMA nor Keras has",
            hint=suggestion(match[1], _metric_names(), noun="metric"),
        )
    return _refused(job) if _REFUSED in text else None


def _refused(job: Job) -> PenstockError:
    """Return why the metrics could not take what the first rows have and the model gives."""
    metrics = [m.class_name for spec in job.eval_config.metrics_specs for m in spec.metrics]
    asked = ", ".join(dict.fromkeys(metrics)) or "TFMA's own metrics"
    extracts = first_extracts(job) or {}
    specs = list(job.eval_config.model_specs)
    for spec in specs if extracts else ():
        labels, outputs = (
            _of_model(extracts[key], spec.name, len(specs)) for key in ("labels", "predictions")
        )
        whose = f"the model {spec.name!r}" if spec.name else "the model"
        if isinstance(outputs, Mapping):
            return _several(whose, list(outputs), spec.prediction_key, asked)
        label = spec.label_key or "the label"
        if _is_text(labels) and not _is_text(outputs):
            return DataError(
                f"the labels in {label!r} are texts, as {_shown(labels)}, and {whose} gives "
                f"numbers, as {_shown(outputs)}: {asked} cannot compare them",
                column=label,
                hint="Evaluate with the label that the model was trained on: make it a number in "
                "preprocessing_fn, and name the transformed feature as label_key, with "
                'preprocessing_function_names=["transform_features"].',
            )
        if _is_text(outputs):
            return DataError(
                f"{whose} gives texts, as {_shown(outputs)}, and {asked} take numbers",
                hint="Name an output of numbers as prediction_key, or another signature as "
                "signature_name, in the model spec.",
            )
        return DataError(
            f"{asked} cannot take the labels in {label!r}, {_described(labels)}, with the outputs "
            f"of {whose}, {_described(outputs)}",
            column=label,
            hint="Metrics of two classes take one number a row, metrics of several classes "
            "(SparseCategoricalAccuracy) one for each class, or `binarize` in the metrics spec.",
        )
    return DataError(
        f"{asked} cannot take the labels of the examples with the outputs of the model",
        hint="Look at label_key, prediction_key and signature_name of the model spec.",
    )


def _several(whose: str, outputs: list[str], key: str, asked: str) -> PenstockError:
    names = ", ".join(outputs)
    if key:
        return ParameterError(
            f"{whose} gives no {key!r}, which the prediction_key of eval_config names",
            hint=suggestion(key, outputs, noun="output"),
        )
    return ParameterError(
        f"{whose} gives the outputs {names}, and nothing says which of these {asked} are about",
        hint="Name it as the prediction_key of the model spec, or as output_names of a metrics "
        "spec.",
    )


def _of_model(value: Any, name: str, models: int) -> Any:
    return value.get(name) if models > 1 and isinstance(value, Mapping) else value


def _is_text(value: Any) -> bool:
    kind = getattr(getattr(value, "dtype", None), "kind", "")
    return kind in ("O", "S", "U")


def _shown(value: Any) -> str:
    first = value.reshape(-1)[0] if value.size else None
    return repr(first.decode(errors="replace") if isinstance(first, bytes) else str(first))


def _described(value: Any) -> str:
    shape = getattr(value, "shape", None)
    if shape is None:
        return "which are missing" if value is None else f"a {type(value).__name__}"
    each = "one value" if len(shape) == 1 else f"{' x '.join(map(str, shape[1:]))} values"
    return f"{each} a row of {value.dtype}"


def _metric_names() -> list[str]:
    import tensorflow as tf
    from tensorflow_model_analysis.metrics import metric_types

    of_keras = [name for name in dir(tf.keras.metrics) if name[:1].isupper()]
    return sorted({*metric_types.registered_metrics(), *of_keras})
