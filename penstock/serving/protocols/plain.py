"""Rows by the names of their columns: one object, a list of them, or an object of lists.

    {"distance": 1400, "carrier": "UA"}
    [{"distance": 1400, "carrier": "UA"}, {"distance": 300, "carrier": "B6"}]
    {"distance": [1400, 300], "carrier": ["UA", "B6"]}

One row is answered by one object, several by a list: `prediction`, and a classifier's
`probabilities` by the names of the classes.
"""

from __future__ import annotations

from typing import Any

from penstock.errors import DataError
from penstock.models.predictions import PROBABILITIES
from penstock.serving.protocols.form import (
    Asked,
    Form,
    Predicted,
    Served,
    columns_of,
    of_model,
    parsed,
    plain_value,
    short,
    written,
)


def _read(body: bytes, head: int, served: Served) -> Asked:
    del head
    content = parsed(body)
    if isinstance(content, list):
        return Asked(columns_of(content, served), len(content))
    if not isinstance(content, dict):
        raise DataError(f"expected an object with columns, or a list of them, got {short(content)}")
    several = {column.name for column in served.inputs if column.shape}
    if content and all(
        isinstance(value, list) and (name not in several or _are_lists(value))
        for name, value in content.items()
    ):
        return _by_column(content, served)
    return Asked(columns_of([content], served), 1, {"single": True})


def _are_lists(values: list[Any]) -> bool:
    """Return whether values are of several rows, for a column whose value is a list."""
    return bool(values) and all(value is None or isinstance(value, list) for value in values)


def _by_column(content: dict[str, list[Any]], served: Served) -> Asked:
    sizes = {name: len(values) for name, values in content.items()}
    if len(set(sizes.values())) > 1:
        said = ", ".join(f"{name!r} has {size}" for name, size in sizes.items())
        raise DataError(f"columns should have one value a row each: {said:.200}")
    kept = of_model(content, served)
    columns = {name: [plain_value(v) for v in values] for name, values in kept.items()}
    return Asked(columns, next(iter(sizes.values())))


def _write(predictions: Predicted, asked: Asked, served: Served) -> tuple[bytes, int]:
    del served
    names, labels = list(predictions.columns), predictions.classes
    columns = dict(predictions.columns)
    if labels is not None and PROBABILITIES in columns:
        texts = [label if isinstance(label, str) else str(label) for label in labels]
        columns[PROBABILITIES] = [
            dict(zip(texts, values, strict=True)) for values in columns[PROBABILITIES]
        ]
    rows = [dict(zip(names, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    return written(rows[0] if asked.manner.get("single") and rows else rows), 0


ROWS = Form(_read, _write)
