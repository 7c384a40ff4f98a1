"""Predictions as TFX writes them: a PredictionLog a row, or the row with columns more."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from penstock.components.bulk_inferrer.inference import (
    CLASSIFY,
    REGRESS,
    Answers,
    Inference,
    row_of,
)
from penstock.components.bulk_inferrer.specs import OutputColumnsSpec, OutputExampleSpec
from penstock.data.coding.example_proto import example_class
from penstock.data.coding.prediction_logs import fill_tensor, prediction_log_class
from penstock.errors import DataError, ParameterError, suggestion
from penstock.models.predictions import PREDICTION, PROBABILITIES

_CLASSES, _SCORES, _OUTPUTS = "classes", "scores", "outputs"


def prediction_logs(
    inference: Inference, records: Sequence[bytes], answers: Answers
) -> Iterator[bytes]:
    """Yield a serialized PredictionLog for each record."""
    write = {CLASSIFY: _classify_log, REGRESS: _regress_log}.get(inference.method, _predict_log)
    for row, record in enumerate(records):
        log = prediction_log_class()()
        write(log, inference, record, answers, row)
        yield log.SerializeToString(deterministic=True)


def _predict_log(log: Any, inference: Inference, record: bytes, answers: Answers, row: int) -> None:
    request, response = log.predict_log.request, log.predict_log.response
    request.model_spec.signature_name = inference.signature
    response.model_spec.signature_name = inference.signature
    fill_tensor(request.inputs[inference.argument], np.array([record], object))
    for name, values in answers.outputs.items():
        fill_tensor(response.outputs[name], row_of(values, row)[None])


def _classify_log(log: Any, _: Inference, record: bytes, answers: Answers, row: int) -> None:
    log.classify_log.request.input.example_list.examples.append(record)
    labels, scores = _classification(answers, row)
    result = log.classify_log.response.result.classifications.add()
    for label, score in zip(labels, scores, strict=True):
        result.classes.add(label=label, score=score)


def _regress_log(log: Any, _: Inference, record: bytes, answers: Answers, row: int) -> None:
    log.regress_log.request.input.example_list.examples.append(record)
    log.regress_log.response.result.regressions.add(value=_regression(answers, row))


def with_columns(
    spec: OutputExampleSpec, records: Sequence[bytes], answers: Answers, path: str, first: int
) -> Iterator[bytes]:
    """Yield each record, a tf.Example, with the columns that a spec names.

    Raises:
      ParameterError: the model has not the outputs that the spec names.
      DataError: a record is no tf.Example, or has such a column already.
    """
    from google.protobuf.message import DecodeError

    for row, record in enumerate(records):
        try:
            example = example_class().FromString(record)
        except DecodeError as error:
            raise DataError(
                f"record {first + row} cannot be read as a tf.Example: {error}", path=path
            ) from error
        features = example.features.feature
        for name, values in _columns(spec, answers, row):
            if name in features:
                raise DataError(
                    f"record {first + row} has a column {name!r} already",
                    path=path,
                    column=name,
                    hint="Name the column of output_example_spec otherwise.",
                )
            _fill(features[name], values)
        yield example.SerializeToString(deterministic=True)


def _columns(
    spec: OutputExampleSpec, answers: Answers, row: int
) -> Iterator[tuple[str, list[Any]]]:
    for one in spec.output_columns_spec:
        yield from _columns_of(one, answers, row)


def _columns_of(
    spec: OutputColumnsSpec, answers: Answers, row: int
) -> Iterator[tuple[str, list[Any]]]:
    if spec.classify_output is not None:
        labels, scores = _classification(answers, row)
        if spec.classify_output.label_column:
            yield spec.classify_output.label_column, labels
        if spec.classify_output.score_column:
            yield spec.classify_output.score_column, scores
    if spec.regress_output is not None:
        yield spec.regress_output.value_column, [_regression(answers, row)]
    for column in spec.predict_output.output_columns if spec.predict_output else ():
        value = np.squeeze(row_of(_output(answers, column.output_key), row))
        if value.ndim > 1:
            raise ParameterError(
                f"output_example_spec: a column holds a list at the most, and the output "
                f"{column.output_key!r} has the shape {list(value.shape)}"
            )
        yield column.output_column, value.reshape(-1).tolist()


def _classification(answers: Answers, row: int) -> tuple[list[str], list[float]]:
    """Return the labels of all classes, and their scores."""
    if PROBABILITIES in answers.outputs and answers.classes is not None:
        scores = answers.outputs[PROBABILITIES][row]
        return [str(label) for label in answers.classes], [float(score) for score in scores]
    labels, scores = (_output(answers, name)[row] for name in (_CLASSES, _SCORES))
    texts = [v.decode(errors="replace") if isinstance(v, bytes) else str(v) for v in labels]
    return texts, [float(score) for score in scores]


def _regression(answers: Answers, row: int) -> float:
    name = PREDICTION if PREDICTION in answers.outputs else _OUTPUTS
    value = np.squeeze(row_of(_output(answers, name), row))
    if value.ndim or value.dtype.kind not in "biuf":
        raise ParameterError(
            f"expected a regression, and the output {name!r} is no single number",
            hint="Name it as predict_output or classify_output.",
        )
    return float(value)


def _output(answers: Answers, name: str) -> Any:
    if name not in answers.outputs:
        raise ParameterError(
            f"the model gives no {name!r}",
            hint=suggestion(name, answers.outputs, noun="output"),
        )
    return answers.outputs[name]


def _fill(feature: Any, values: list[Any]) -> None:
    """Write values into a feature of an example: texts, whole numbers or other numbers."""
    if any(isinstance(value, (str, bytes)) for value in values):
        texts = ["" if value is None else value for value in values]
        feature.bytes_list.value.extend(v.encode() if isinstance(v, str) else v for v in texts)
    elif values and all(isinstance(value, int) for value in values):
        feature.int64_list.value.extend(map(int, values))
    else:
        feature.float_list.value.extend(map(float, values))
