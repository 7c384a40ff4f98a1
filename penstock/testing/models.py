"""What tests of a model ask of it, as assertions, each with the reason where it does not hold.

    def test_the_loss_falls(result):
        assert_loss_falls(result)

A `result` is what a run of the pipeline came to, a `model` what `penstock.models.load_model`
returns; rows are what a model's `predict` takes.
"""

from __future__ import annotations

import math
import os
import statistics
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from penstock.data.coding.columns import is_list
from penstock.data.records import read_record_batches
from penstock.data.results.training_curves import read_curves
from penstock.data.splits import split_files, split_names
from penstock.models.predictions import PREDICTION
from penstock.models.rows import as_table
from penstock.models.signature import Column

if TYPE_CHECKING:
    from penstock.models.loading import Model
    from penstock.runners.local.result import RunResult

_EXTREME_NUMBERS = (0.0, -1.0, 1e-30, 1e9, -1e9, 3e38, -3e38)
_EXTREME_INTEGERS = (0, -1, 1, 2**31 - 1, -(2**31), 2**53, -(2**53))
_EXTREME_TEXTS = ("", " ", "x" * 10_000, "\u0000", "é中🂡", "nan", "unseen")


def assert_yields_artifacts(result: RunResult) -> None:
    """Assert that each node of a run has made all its outputs, and that their files are there."""
    missing = []
    for node_id, node in result.nodes.items():
        if node.execution_id is None:
            missing.append(f"{node_id} did not run: {node.error or node.state.value}")
        for key, artifacts in node.outputs.items():
            missing += [
                f"{node_id}/{key}: {artifact.uri} is not there"
                for artifact in artifacts
                if artifact.uri and "://" not in artifact.uri and not os.path.exists(artifact.uri)
            ]
    assert not missing, "; ".join(missing)


def assert_loss_falls(
    result: RunResult, *, node: str = "Trainer", measure: str = "loss", rising: bool = False
) -> None:
    """Assert that a training's curves end lower than they began; `rising`, higher.

    `measure` is a part of the curves' names, as `loss` or `rmse`. It is read from what the node's
    training logged for TensorBoard.
    """
    curves = [
        curve
        for artifacts in result.outputs(node).values()
        for artifact in artifacts
        if artifact.type_name == "ModelRun"
        for curve in read_curves(artifact.uri)
    ]
    named = [c for c in curves if measure in c.tag and len(c.values) > 1]
    known = ", ".join(sorted({curve.tag for curve in curves})) or "none"
    assert named, f"{node} has logged no curve of {measure!r} with two values; there are: {known}"
    for curve in named:
        first, last = curve.values[0], curve.values[-1]
        where = f"{curve.run}/{curve.tag}" if curve.run else curve.tag
        assert all(map(math.isfinite, curve.values)), f"{where} is not a number at some step"
        moved = last > first if rising else last < first
        wanted = "higher" if rising else "lower"
        assert moved, f"{where} should end {wanted} than it began: {first:.6g} -> {last:.6g}"


def assert_learns_by_heart(model: Model, rows: Any, label: str, *, at_least: float = 0.95) -> None:
    """Assert that a model tells the labels of the rows that it was trained on.

    For classes `at_least` is the share that is right, for numbers the share of the variance that
    is explained (R²). Train it on some fifty rows, long enough.
    """
    table = as_table(rows)
    labels = _values(table, label)
    predicted = _values(model.predict(table.drop([label])), PREDICTION)
    if labels.dtype.kind == "f" and predicted.dtype.kind == "f":
        left, whole = float(((labels - predicted) ** 2).sum()), float(labels.var() * len(labels))
        score = 1 - left / whole if whole else float(left == 0)
        what = "of the variance is explained"
    else:
        score = float(np.mean([str(a) == str(b) for a, b in zip(labels, predicted, strict=True)]))
        what = "of the labels are right"
    assert score >= at_least, (
        f"of {len(labels)} rows {score:.1%} {what}, and {at_least:.1%} should be: the model cannot "
        "even learn them by heart"
    )


def assert_finite_on_extremes(model: Model, *, rows: Any = None) -> None:
    """Assert that predictions are numbers however extreme the rows are.

    Each column in turn has zeros, numbers at the ends of its type, empty, long and unseen texts,
    and null where it is optional, in rows that are else as `rows`, by default the model's example.
    """
    signature = model.signature
    assert signature is not None, "the model's files do not say what it takes"
    base = as_table(rows) if rows is not None else model.example
    assert base is not None, "the model has no example: give rows"
    base = signature.cast(base.slice(0, 1))
    for column in signature.inputs:
        for value in _extremes(column):
            values = pa.array([value], column.arrow_type)
            place = base.schema.get_field_index(column.name)
            table = base.set_column(place, base.schema.field(place), values)
            predictions = model.predict(table)
            shown = repr(value) if len(repr(value)) < 40 else f"{type(value).__name__} of 10000"
            bad = [name for name in predictions.column_names if not _is_finite(predictions, name)]
            assert not bad, f"with {column.name} = {shown}, {', '.join(bad)} is not a number"


def assert_same_predictions(one: Model, other: Model, rows: Any, *, tolerance: float = 0.0) -> None:
    """Assert that two models predict the same: of one seed and one code, for example."""
    first, second = one.predict(rows), other.predict(rows)
    _assert_alike(first, second, tolerance, "the two models")


def assert_rows_do_not_matter_to_each_other(
    model: Model, rows: Any, *, tolerance: float = 1e-5
) -> None:
    """Assert that a row's prediction is the same alone, as when served, and among others."""
    table = as_table(rows)
    alone = pa.concat_tables([model.predict(table.slice(i, 1)) for i in range(table.num_rows)])
    _assert_alike(model.predict(table), alone, tolerance, "rows together and rows alone")


def assert_transforms_alike(
    result: RunResult,
    *,
    node: str = "Transform",
    examples: str = "CsvExampleGen",
    split: str = "train",
    rows: int = 50,
    tolerance: float = 1e-5,
) -> None:
    """Assert that serving transforms a row, alone, to what training was given.

    `examples` is the node that made what Transform was given. Needs TensorFlow Transform.
    """
    import tensorflow as tf
    import tensorflow_transform as tft

    raw_examples = _only(result, examples, "Examples")
    graph = tft.TFTransformOutput(_only(result, node, "TransformGraph").uri)
    transformed = _only(result, node, "Examples")
    assert split in split_names(transformed), f"{node} has transformed no split {split!r}"
    trained = _Known(_rows(transformed, split), tolerance)
    layer = graph.transform_features_layer()
    spec = graph.raw_feature_spec()
    for number, record in enumerate(_records(raw_examples, split, rows)):
        parsed = tf.io.parse_example(tf.constant([record]), spec)
        served = {
            name: np.asarray(tf.sparse.to_dense(value) if _is_sparse(value) else value)[0]
            for name, value in layer(parsed).items()
        }
        assert served in trained, (
            f"row {number} of {split} is transformed to another one when it is served: {served}"
        )


def assert_answers_within(
    model: Model, milliseconds: float, *, rows: Any = None, tries: int = 50, share: float = 0.95
) -> None:
    """Assert that a model answers one row in time, in `share` of the tries after a first one."""
    table = as_table(rows) if rows is not None else model.example
    assert table is not None, "the model has no example: give rows"
    row = table.slice(0, 1)
    model.predict(row)
    took = []
    for _ in range(tries):
        began = time.perf_counter()
        model.predict(row)
        took.append((time.perf_counter() - began) * 1000)
    took.sort()
    slow = took[min(len(took) - 1, math.ceil(share * len(took)) - 1)]
    assert slow <= milliseconds, (
        f"{share:.0%} of the answers should take {milliseconds:g} ms at most, and took up to "
        f"{slow:.3g} ms (median {statistics.median(took):.3g} ms)"
    )


def _extremes(column: Column) -> Iterator[Any]:
    values: Sequence[Any] = {
        "bool": (True, False),
        "int64": _EXTREME_INTEGERS,
        "string": _EXTREME_TEXTS,
        "binary": (b"", b"\x00", b"x" * 10_000),
    }.get(column.type, _EXTREME_NUMBERS)
    for value in values:
        for size in reversed(column.shape):
            value = [value] * (1 if size is None else size)
        yield value
    if column.optional:
        yield None


def _is_finite(table: pa.Table, name: str) -> bool:
    values = _values(table, name)
    return values.dtype.kind not in "fc" or bool(np.isfinite(values).all())


def _values(table: pa.Table, name: str) -> Any:
    """Return a column's values, one after the other; of lists too."""
    column = table.column(name).combine_chunks()
    while is_list(column.type):
        column = column.flatten()
    return column.to_numpy(zero_copy_only=False)


def _assert_alike(one: pa.Table, other: pa.Table, tolerance: float, what: str) -> None:
    assert one.column_names == other.column_names, f"{what} have other columns"
    for name in one.column_names:
        first, second = _values(one, name), _values(other, name)
        if first.dtype.kind == "f":
            apart = np.abs(first - second)
            worst = int(np.nanargmax(apart)) if len(apart) else 0
            same = np.allclose(first, second, rtol=tolerance, atol=tolerance, equal_nan=True)
        else:
            different = [i for i, (a, b) in enumerate(zip(first, second, strict=True)) if a != b]
            same, worst = not different, (different or [0])[0]
        assert same, (
            f"{what} differ in {name}, most in its value {worst}: {first[worst]!r} and "
            f"{second[worst]!r}"
        )


def _only(result: RunResult, node: str, type_name: str) -> Any:
    made = [
        artifact
        for artifacts in result.outputs(node).values()
        for artifact in artifacts
        if artifact.type_name == type_name
    ]
    assert len(made) == 1, f"{node} should have made one {type_name}, and has made {len(made)}"
    return made[0]


def _records(examples: Any, split: str, most: int) -> Iterator[bytes]:
    from penstock.data.records import read_serialized

    left = most
    for path in split_files(examples, split):
        for record in read_serialized(path):
            if left == 0:
                return
            left -= 1
            yield record


def _rows(examples: Any, split: str) -> Iterator[Mapping[str, Any]]:
    for batch in read_record_batches(split_files(examples, split)):
        for row in batch.to_pylist():
            yield {name: value for name, value in row.items() if value is not None}


class _Known:
    """Rows, of which one is known again though its numbers differ a little."""

    def __init__(self, rows: Iterable[Mapping[str, Any]], tolerance: float) -> None:
        self._tolerance = tolerance
        numbers: dict[Any, list[list[float]]] = {}
        for row in rows:
            texts, values = _parts(row)
            numbers.setdefault(texts, []).append(values)
        self._numbers = {texts: np.array(values) for texts, values in numbers.items()}

    def __contains__(self, row: Mapping[str, Any]) -> bool:
        texts, values = _parts(row)
        known = self._numbers.get(texts)
        if known is None:
            return False
        near = np.isclose(known, values, self._tolerance, self._tolerance, equal_nan=True)
        return bool(near.all(axis=1).any())


def _parts(row: Mapping[str, Any]) -> tuple[Any, list[float]]:
    """Return a row's texts, with how many values each feature has, and its numbers."""
    texts: list[Any] = []
    numbers: list[float] = []
    for name in sorted(row):
        values = np.ravel(np.asarray(row[name], object))
        texts.append((name, len(values)))
        for value in values:
            if isinstance(value, bytes | str):
                texts.append(value if isinstance(value, bytes) else value.encode())
            else:
                numbers.append(float(value))
    return tuple(texts), numbers


def _is_sparse(value: Any) -> bool:
    return type(value).__name__ == "SparseTensor"
