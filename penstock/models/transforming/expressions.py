"""Columns as expressions: what a function of features writes down, and a model keeps as JSON.

The function runs once, on expressions in the place of values; what it returns is a description
that needs no code of the user's to be carried out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from penstock.errors import PipelineError, suggestion
from penstock.models.transforming.operations import OPERATIONS
from penstock.models.transforming.statistics import STATISTICS

Literal = bool | int | float | str

SEVERAL_COLUMNS = "one_hot"


@dataclass(frozen=True, eq=False)
class Expression:
    """A column to be: an operation on columns, a column of the data, or a constant.

    Comparisons and arithmetic make expressions. A missing value stays missing, but for what
    `filled` and `is_missing` say.
    """

    operation: str
    operands: tuple[Expression, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)

    def __add__(self, other: Any) -> Expression:
        return _apply("add", self, other)

    def __radd__(self, other: Any) -> Expression:
        return _apply("add", other, self)

    def __sub__(self, other: Any) -> Expression:
        return _apply("subtract", self, other)

    def __rsub__(self, other: Any) -> Expression:
        return _apply("subtract", other, self)

    def __mul__(self, other: Any) -> Expression:
        return _apply("multiply", self, other)

    def __rmul__(self, other: Any) -> Expression:
        return _apply("multiply", other, self)

    def __truediv__(self, other: Any) -> Expression:
        """Divide; what is divided by zero is missing."""
        return _apply("divide", self, other)

    def __rtruediv__(self, other: Any) -> Expression:
        return _apply("divide", other, self)

    def __mod__(self, other: Any) -> Expression:
        return _apply("remainder", self, other)

    def __floordiv__(self, other: Any) -> Expression:
        return _apply("floor_divide", self, other)

    def __neg__(self) -> Expression:
        return _apply("multiply", self, -1)

    def __eq__(self, other: object) -> Expression:  # type: ignore[override]
        return _apply("equal", self, other)

    def __ne__(self, other: object) -> Expression:  # type: ignore[override]
        return _apply("not_equal", self, other)

    def __lt__(self, other: Any) -> Expression:
        return _apply("less", self, other)

    def __le__(self, other: Any) -> Expression:
        return _apply("less_equal", self, other)

    def __gt__(self, other: Any) -> Expression:
        return _apply("greater", self, other)

    def __ge__(self, other: Any) -> Expression:
        return _apply("greater_equal", self, other)

    def __and__(self, other: Any) -> Expression:
        return _apply("and", self, other)

    def __or__(self, other: Any) -> Expression:
        return _apply("or", self, other)

    def __invert__(self) -> Expression:
        return _apply("not", self)

    def __hash__(self) -> int:
        return id(self)

    def __bool__(self) -> NoReturn:
        raise PipelineError(
            "a column has no truth of its own while features are described",
            hint="Write condition.where(a, b) in the place of if, and & | ~ for and, or, not.",
        )

    def __len__(self) -> NoReturn:
        raise _no_values("length")

    def __iter__(self) -> NoReturn:
        raise _no_values("values")

    def __float__(self) -> NoReturn:
        raise _no_values("number")

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        names = [n for n in vars(type(self)) if not n.startswith("_")]
        raise AttributeError(
            f"a column has no operation {name!r}. {suggestion(name, names, noun='operation')}"
        )

    def abs(self) -> Expression:
        """Return the absolute values."""
        return _apply("abs", self)

    def sqrt(self) -> Expression:
        """Return the square roots; those of negative numbers are missing."""
        return _apply("sqrt", self)

    def log(self) -> Expression:
        """Return the natural logarithms; those of zero and less are missing."""
        return _apply("log", self)

    def log1p(self) -> Expression:
        """Return the natural logarithms of one more; of -1 and less they are missing."""
        return _apply("log1p", self)

    def exp(self) -> Expression:
        """Return e to the power of the values."""
        return _apply("exp", self)

    def sin(self) -> Expression:
        """Return the sines, of radians."""
        return _apply("sin", self)

    def cos(self) -> Expression:
        """Return the cosines, of radians."""
        return _apply("cos", self)

    def clipped(self, lower: float, upper: float) -> Expression:
        """Return the values, those beyond a bound as the bound."""
        return _apply("clipped", self, lower=float(lower), upper=float(upper))

    def number(self) -> Expression:
        """Return the values as floating point numbers, of texts those that they spell."""
        return _apply("number", self)

    def text(self) -> Expression:
        """Return the values as texts."""
        return _apply("text", self)

    def lower(self) -> Expression:
        """Return texts in lower case."""
        return _apply("lower", self)

    def stripped(self) -> Expression:
        """Return texts without space at their ends."""
        return _apply("stripped", self)

    def joined(self, other: Any, separator: str = "_") -> Expression:
        """Return two texts as one: a cross of two features."""
        return _apply("joined", self, other, separator=separator)

    def hashed(self, buckets: int) -> Expression:
        """Return a number from 0 to below `buckets` for each text, by its CRC-32."""
        return _apply("hashed", self, buckets=int(buckets))

    def is_in(self, values: Sequence[Literal]) -> Expression:
        """Return whether each value is one of some."""
        return _apply("is_in", self, values=list(values))

    def is_missing(self) -> Expression:
        """Return whether each value is missing."""
        return _apply("is_missing", self)

    def where(self, then: Any, otherwise: Any) -> Expression:
        """Return `then` where this condition holds, and `otherwise` where it does not."""
        return _apply("where", self, then, otherwise)

    def filled(self, value: Literal) -> Expression:
        """Return the values, a constant in the place of those that are missing."""
        return _apply("filled", self, value)

    def filled_with_mean(self) -> Expression:
        """Return the values, the mean of the training data in the place of missing ones."""
        return _apply("filled_with_mean", self)

    def filled_with_median(self) -> Expression:
        """Return the values, the median of the training data in the place of missing ones."""
        return _apply("filled_with_median", self)

    def standardized(self) -> Expression:
        """Return the values less their mean, by their standard deviation, in the training data."""
        return _apply("standardized", self)

    def scaled(self) -> Expression:
        """Return the values such that those of the training data go from 0 to 1."""
        return _apply("scaled", self)

    def bucketized(self, buckets: int) -> Expression:
        """Return the number of each value's bucket, which have alike many rows in training."""
        return _apply("bucketized", self, buckets=int(buckets))

    def indexed(self, top: int | None = None, min_count: int = 1) -> Expression:
        """Return each value's place in the training data's vocabulary, the most frequent first.

        `top` keeps so many, `min_count` those that come so often. Others are -1.
        """
        return _apply("indexed", self, top=top, min_count=int(min_count))

    def one_hot(self, top: int | None = None, min_count: int = 1) -> Expression:
        """Return a column for each value in the vocabulary, 1 where a row has it and 0 elsewhere.

        The columns are called `name_0`, `name_1`, ... in the order of the vocabulary.
        """
        return _apply("one_hot", self, top=top, min_count=int(min_count))


class Columns:
    """The columns of the data, as attributes or by name: `columns.age`, `columns["age"]`."""

    def __getattr__(self, name: str) -> Expression:
        if name.startswith("__"):
            raise AttributeError(name)
        return self[name]

    def __getitem__(self, name: str) -> Expression:
        return Expression("column", options={"name": name})


def _apply(operation: str, *operands: Any, **options: Any) -> Expression:
    assert operation in OPERATIONS or operation in STATISTICS, operation
    return Expression(operation, tuple(map(_expression, operands)), options)


def _expression(value: Any) -> Expression:
    if isinstance(value, Expression):
        if value.operation == SEVERAL_COLUMNS:
            raise PipelineError(
                f"{SEVERAL_COLUMNS} makes several columns, which cannot be made into others",
                hint="Let it be the last operation of a feature.",
            )
        return value
    item = value.item() if hasattr(value, "item") else value
    if isinstance(item, bool | int | float | str):
        return Expression("constant", options={"value": item})
    raise PipelineError(
        f"a feature is made of columns, numbers and texts, and this is {value!r} "
        f"({type(value).__name__})",
        hint="Features are described by the operations of columns: columns.age.standardized().",
    )


def _no_values(noun: str) -> PipelineError:
    return PipelineError(
        f"a column has no {noun} while features are described: there are no rows yet",
        hint="Use the operations of columns, as columns.age.standardized().",
    )


def to_json(expression: Expression) -> dict[str, Any]:
    """Return an expression as JSON values."""
    entry: dict[str, Any] = {"operation": expression.operation}
    if expression.operands:
        entry["operands"] = [to_json(operand) for operand in expression.operands]
    if expression.options:
        entry["options"] = dict(expression.options)
    return entry


def from_json(entry: Mapping[str, Any]) -> Expression:
    """Return the expression that `to_json` wrote.

    Raises:
      ValueError: it names an operation that there is not.
    """
    operation = entry["operation"]
    if operation not in ("column", "constant", *OPERATIONS, *STATISTICS):
        raise ValueError(f"there is no operation {operation!r}")
    return Expression(
        operation,
        tuple(from_json(operand) for operand in entry.get("operands", ())),
        dict(entry.get("options", {})),
    )
