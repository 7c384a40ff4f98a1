"""Describing features, fitting them to training data, and making them of rows."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa

from penstock.errors import DataError, PipelineError, suggestion
from penstock.models.predictions import matrix_of
from penstock.models.rows import as_table
from penstock.models.signature import whole_column
from penstock.models.transforming.expressions import (
    SEVERAL_COLUMNS,
    Columns,
    Expression,
    from_json,
    to_json,
)
from penstock.models.transforming.operations import OPERATIONS
from penstock.models.transforming.statistics import STATISTICS
from penstock.safety import bounded

FEATURES_FILE = "penstock_features.json"
FORMAT = 1

_LEARNED = "learned"


Describe = Callable[[Columns], Mapping[str, Expression]]


@dataclass(frozen=True)
class Features:
    """Features as a function describes them, before anything was learned of data."""

    describe: Describe

    @cached_property
    def expressions(self) -> Mapping[str, Expression]:
        """The features by name, as the function describes them; it is called once.

        Raises:
          PipelineError: the function returns something else than features by name.
        """
        name = getattr(self.describe, "__name__", "the function of features")
        described = self.describe(Columns())
        if not isinstance(described, Mapping) or not described:
            raise PipelineError(
                f"{name} should return a dict of features by name, and returned {described!r}",
                hint="For example {'age': columns.age.standardized()}.",
            )
        for key, expression in described.items():
            if not isinstance(expression, Expression):
                raise PipelineError(
                    f"the feature {key!r} of {name} should be made of columns, and is "
                    f"{expression!r}",
                    hint="Features are described by operations of columns: "
                    "columns.age.standardized().",
                )
        return dict(described)

    @property
    def inputs(self) -> tuple[str, ...]:
        """The columns of the data that the features are made of."""
        return _inputs(self.expressions)

    def fit(self, data: Any) -> FittedFeatures:
        """Return the features with what they need to know of the training data.

        `data` are rows in any form that a model takes, or have a method `batches()`, which is
        called once for each pass over the data: one, and one more for each statistic that is
        built on another.

        Raises:
          DataError: a column is missing, or of a kind that an operation does not take.
        """
        expressions = dict(self.expressions)
        while waiting := _ready(expressions):
            learned = _learn(waiting, data)
            expressions = {
                name: _replaced(expression, learned) for name, expression in expressions.items()
            }
        return FittedFeatures(expressions)


def features(function: Describe) -> Features:
    """Make features of a function from columns to columns.

    The function is given the columns of the data as expressions, when the features are first asked
    for; it returns a dict of expressions by the names of the features.
    """
    return Features(function)


@dataclass(frozen=True)
class FittedFeatures:
    """Features with what they know of the training data: data themselves, and no code."""

    expressions: Mapping[str, Expression]

    @property
    def inputs(self) -> tuple[str, ...]:
        """The columns of the data that the features are made of."""
        return _inputs(self.expressions)

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names of the columns that `transform` gives."""
        return tuple(
            column
            for name, expression in self.expressions.items()
            for column in _output_names(name, expression)
        )

    def transform(self, rows: Any) -> pa.Table:
        """Return the features of rows: in training, in evaluation and in serving alike.

        Raises:
          DataError: a column is missing, or of a kind that an operation does not take.
        """
        table = as_table(rows)
        evaluated = _Evaluation(table)
        columns: dict[str, Any] = {}
        for name, expression in self.expressions.items():
            try:
                value = evaluated(expression)
            except DataError as error:
                error.column = error.column or name
                raise
            values = value if isinstance(value, list) else [value]
            columns.update(zip(_output_names(name, expression), values, strict=True))
        return pa.table(columns)

    def matrix(self, rows: Any) -> Any:
        """Return the features of rows as a matrix of float64, of shape (rows, features).

        Missing values are NaN.

        Raises:
          DataError: a feature is a text.
        """
        return matrix_of(self.transform(rows), self.outputs)


def save_features(fitted: FittedFeatures, directory: str) -> None:
    """Write features beside the model that takes them."""
    content = {
        "format": FORMAT,
        "features": {name: to_json(e) for name, e in fitted.expressions.items()},
    }
    with open(os.path.join(directory, FEATURES_FILE), "w", encoding="utf-8") as file:
        json.dump(content, file, ensure_ascii=False)
        file.write("\n")


def read_features(directory: str) -> FittedFeatures | None:
    """Return the features of the model in a directory; None where it has none.

    Raises:
      DataError: the file is there, and not one of ours.
    """
    path = os.path.join(directory, FEATURES_FILE)
    if not os.path.isfile(path):
        return None
    try:
        content = bounded.parse_json(bounded.read_text(path))
        if content["format"] != FORMAT:
            raise ValueError(f"the format is {content['format']}, and should be {FORMAT}")
        return FittedFeatures({name: from_json(e) for name, e in content["features"].items()})
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise DataError(
            f"expected features as Penstock writes them: {type(error).__name__}: {error}",
            path=path,
            hint="Save the model again.",
        ) from error


class _Evaluation:
    """The values of expressions on the rows of a table; each is computed once."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table
        self._known: dict[int, Any] = {}

    def __call__(self, expression: Expression) -> Any:
        known = self._known.get(id(expression))
        if known is None:
            known = self._known[id(expression)] = self._value(expression)
        return known

    def _value(self, expression: Expression) -> Any:
        options = dict(expression.options)
        if expression.operation == "column":
            return self._column(options["name"])
        if expression.operation == "constant":
            return _constant(options["value"], self._table.num_rows)
        operands = [self(operand) for operand in expression.operands]
        if expression.operation in STATISTICS:
            return STATISTICS[expression.operation].apply(operands[0], options[_LEARNED])
        try:
            return OPERATIONS[expression.operation](*operands, **options)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
            raise DataError(
                f"{expression.operation} does not take a column of "
                f"{' and '.join(str(operand.type) for operand in operands)}: "
                f"{str(error).splitlines()[0]}"
            ) from error

    def _column(self, name: str) -> Any:
        index = self._table.schema.get_field_index(name)
        if index < 0:
            raise DataError(
                f"features are made of a column {name!r}, which the rows have not",
                column=name,
                hint=suggestion(name, self._table.schema.names, noun="column"),
            )
        array = whole_column(self._table.column(index))
        if pa.types.is_null(array.type):
            return array.cast(pa.float64())
        if pa.types.is_large_string(array.type):
            return array.cast(pa.string())
        if pa.types.is_floating(array.type):
            array = array.cast(pa.float64())
        return array


def _constant(value: Any, rows: int) -> Any:
    scalar = pa.scalar(value)
    return pa.array([value] * rows, scalar.type)


def _inputs(expressions: Mapping[str, Expression]) -> tuple[str, ...]:
    return tuple(
        dict.fromkeys(
            str(part.options["name"])
            for expression in expressions.values()
            for part in _parts(expression)
            if part.operation == "column"
        )
    )


def _parts(expression: Expression) -> Iterator[Expression]:
    for operand in expression.operands:
        yield from _parts(operand)
    yield expression


def _waits(expression: Expression) -> bool:
    return expression.operation in STATISTICS and _LEARNED not in expression.options


def _ready(expressions: Mapping[str, Expression]) -> list[Expression]:
    """Return the statistics that wait for no other."""
    parts = {id(p): p for expression in expressions.values() for p in _parts(expression)}
    return [
        part
        for part in parts.values()
        if _waits(part) and not any(_waits(p) for o in part.operands for p in _parts(o))
    ]


def _learn(waiting: list[Expression], data: Any) -> dict[int, Expression]:
    """Return, by the identity of the statistics, the same with what they have learned."""
    accumulators = [STATISTICS[part.operation].accumulator(part.options) for part in waiting]
    for table in _tables(data):
        evaluated = _Evaluation(table)
        for part, accumulator in zip(waiting, accumulators, strict=True):
            try:
                accumulator.add(evaluated(part.operands[0]))
            except DataError as error:
                error.column = error.column or ", ".join(_inputs({"": part}))
                raise
    return {
        id(part): Expression(
            part.operation, part.operands, {**part.options, _LEARNED: accumulator.learned()}
        )
        for part, accumulator in zip(waiting, accumulators, strict=True)
    }


def _tables(data: Any) -> Iterable[pa.Table]:
    batches = getattr(data, "batches", None)
    if callable(batches):
        return (as_table(batch) for batch in batches())
    return [as_table(data)]


def _replaced(expression: Expression, learned: Mapping[int, Expression]) -> Expression:
    known = learned.get(id(expression))
    if known is not None:
        return known
    if not expression.operands:
        return expression
    operands = tuple(_replaced(operand, learned) for operand in expression.operands)
    if all(new is old for new, old in zip(operands, expression.operands, strict=True)):
        return expression
    return Expression(expression.operation, operands, expression.options)


def _output_names(name: str, expression: Expression) -> list[str]:
    if expression.operation != SEVERAL_COLUMNS:
        return [name]
    return [f"{name}_{place}" for place in range(len(expression.options[_LEARNED]["values"]))]
