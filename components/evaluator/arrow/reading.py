"""Labels, weights and predictions out of Arrow tables, as numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from penstock.components.evaluator.arrow.outcomes import Outcome
from penstock.data.coding.columns import is_list
from penstock.errors import DataError, ParameterError, suggestion
from penstock.models.predictions import PREDICTION, PROBABILITIES, classes_of


@dataclass(frozen=True)
class Evaluated:
    """A model that is evaluated: a function from rows to predictions, as tables of as many rows.

    `name` is that of its model spec. `classes` are the labels of a classifier, by the column of
    its predictions. `location` is told to readers of the evaluation.
    """

    name: str
    predict: Callable[[pa.Table], pa.Table]
    classes: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    location: str = ""


def outcome_of(table: pa.Table, spec: Any, model: Evaluated, first_row: int) -> Outcome:
    """Return what a model says of the rows of a table, and what its spec says is so.

    Raises:
      DataError: a column is missing, or a row has no label, a label that is no class, no weight, or
        a prediction that is no number.
      ParameterError: the spec names no label.
    """
    if not spec.label_key:
        raise ParameterError(
            "a model spec has no label_key, the name of the column that has the labels",
            hint='As in "model_specs": [{"label_key": "tips"}].',
        )
    predicted = model.predict(table)
    if predicted.num_rows != table.num_rows:
        raise DataError(
            f"the model gives {predicted.num_rows} predictions for {table.num_rows} rows"
        )
    output = _output(predicted, spec.prediction_key)
    classes = _classes(model, predicted, output)
    # Lists have a number for each class, other values are classes themselves.
    is_of_each = is_list(predicted.schema.field(output).type)
    predictions = _numbers(
        predicted, output, "prediction", first_row, None if is_of_each else classes
    )
    labels = _numbers(table, spec.label_key, "label", first_row, classes)
    weights = None
    if spec.example_weight_key:
        weights = _numbers(table, spec.example_weight_key, "example weight", first_row)
        if weights.shape[1] != 1:
            raise DataError(
                f"row {first_row}: expected one example weight, got {weights.shape[1]}",
                column=spec.example_weight_key,
            )
        weights = weights[:, 0]
    known = tuple(classes) if classes is not None and is_of_each else None
    return Outcome(labels, predictions, weights, known, first_row)


def _output(predicted: pa.Table, wanted: str) -> str:
    """Return the column of the predictions: the one that is asked for, or the usual one."""
    names = predicted.schema.names
    if wanted:
        if wanted not in names:
            raise DataError(
                f"the model gives no {wanted!r}, which the prediction_key of eval_config names",
                hint=suggestion(wanted, names, noun="output"),
            )
        return wanted
    for usual in (PROBABILITIES, PREDICTION):
        if usual in names:
            return usual
    if len(names) != 1:
        raise DataError(
            f"the model gives {', '.join(names) or 'nothing'}, and nothing says which of these is "
            "the prediction",
            hint="Name it as the prediction_key of the model spec.",
        )
    return names[0]


def _classes(model: Evaluated, predicted: pa.Table, output: str) -> Sequence[Any] | None:
    """Return the classes by the model's signature, or those that came with its predictions."""
    if output in model.classes:
        return model.classes[output]
    if output not in (PROBABILITIES, PREDICTION):
        return None
    return model.classes.get(PROBABILITIES) or classes_of(predicted)


def _numbers(
    table: pa.Table,
    name: str,
    what: str,
    first_row: int,
    classes: Sequence[Any] | None = None,
) -> np.ndarray:
    """Return a column as an array of shape (rows, values a row); texts by their class's number."""
    position = table.schema.get_field_index(name)
    if position < 0:
        raise DataError(
            f"the rows have no column {name!r}, which has the {what}s",
            column=name,
            hint=suggestion(name, table.schema.names, noun="column"),
        )
    array = _one_array(table.column(position))
    values, counts = _flat(array)
    sizes = np.unique(counts)
    if values.null_count or (len(counts) and (len(sizes) > 1 or sizes[0] == 0)):
        row = _first_other_row(array, counts)
        raise DataError(
            f"row {first_row + row}: expected "
            + (f"{counts.max()} {what}s" if counts.max() > 1 else f"one {what}")
            + f", got {counts[row] if counts[row] and counts.max() > 1 else 'none'}",
            column=name,
            hint=f"Each row needs its {what}.",
        )
    numbers = _of_classes(values, name, what, first_row, classes)
    if not np.isfinite(numbers).all():
        at = int((~np.isfinite(numbers)).argmax())
        row = first_row + at // int(sizes[0])
        raise DataError(
            f"row {row}: expected a {what} that is a number, got {numbers[at]}", column=name
        )
    return numbers.reshape(len(counts), int(sizes[0]) if len(sizes) else 1)


def _one_array(chunked: pa.ChunkedArray) -> pa.Array:
    array = pa.concat_arrays(chunked.chunks) if chunked.num_chunks else pa.array([], chunked.type)
    return array.dictionary_decode() if pa.types.is_dictionary(array.type) else array


def _flat(array: pa.Array) -> tuple[pa.Array, np.ndarray]:
    """Return the values of all rows, and how many each row has."""
    kind = array.type
    if pa.types.is_fixed_size_list(kind):
        counts = np.where(array.is_valid().to_numpy(zero_copy_only=False), kind.list_size, 0)
        return array.flatten(), counts
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        lengths = pc.fill_null(pc.list_value_length(array), 0)
        return array.flatten(), lengths.to_numpy(zero_copy_only=False)
    valid = array.is_valid().to_numpy(zero_copy_only=False)
    return array, np.ones(len(array), np.int64) if valid.all() else valid.astype(np.int64)


def _first_other_row(array: pa.Array, counts: np.ndarray) -> int:
    most = counts.max()
    if (counts != most).any():
        return int((counts != most).argmax())
    if not most:
        return 0
    flat, _ = _flat(array)
    return int(flat.is_null().to_numpy(zero_copy_only=False).argmax()) // int(most)


def _of_classes(
    values: pa.Array, name: str, what: str, first_row: int, classes: Sequence[Any] | None
) -> np.ndarray:
    kind = values.type
    is_text = not (
        pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)
    )
    if not is_text and not _are_other_numbers(classes):
        numbers = values.cast(pa.int8()) if pa.types.is_boolean(kind) else values
        return numbers.to_numpy(zero_copy_only=False).astype(np.float64)
    if classes is None:
        raise DataError(
            f"expected {what}s that are numbers, and the column is {kind}",
            column=name,
            hint="Texts are understood where the model's signature says which classes it has.",
        )
    numbers_of = {_plain(label): number for number, label in enumerate(classes)}
    encoded = values.dictionary_encode()
    found = [numbers_of.get(_plain(label), -1) for label in encoded.dictionary.to_pylist()]
    if -1 in found:
        label = encoded.dictionary[found.index(-1)].as_py()
        row = first_row + encoded.indices.index(found.index(-1)).as_py()
        raise DataError(
            f"row {row}: the {what} {_plain(label)!r} is none of the model's classes "
            + ", ".join(repr(_plain(one)) for one in list(classes)[:10])
            + (", ..." if len(classes) > 10 else ""),
            column=name,
            hint="Train the model on all classes, or leave out such rows.",
        )
    return np.array(found, np.float64)[encoded.indices.to_numpy(zero_copy_only=False)]


def _are_other_numbers(classes: Sequence[Any] | None) -> bool:
    """Return whether classes are numbers, but not those that count them."""
    if classes is None or not all(isinstance(label, (int, float)) for label in classes):
        return False
    return list(classes) != list(range(len(classes)))


def _plain(label: Any) -> Any:
    return label.decode(errors="replace") if isinstance(label, bytes) else label
