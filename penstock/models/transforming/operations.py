"""The operations on columns that need nothing but the row's own values."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from penstock.errors import DataError

Operation = Callable[..., Any]


def _float(values: Any) -> Any:
    if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
        raise DataError("expected a column of numbers, got one of texts")
    return values.cast(pa.float64())


def _finite(values: Any) -> Any:
    """Return values, those that are no numbers as missing."""
    return pc.if_else(pc.is_finite(values), values, pa.scalar(None, pa.float64()))


def _divide(a: Any, b: Any) -> Any:
    return _finite(pc.divide(_float(a), _float(b)))


def _floor_divide(a: Any, b: Any) -> Any:
    return pc.floor(_divide(a, b))


def _remainder(a: Any, b: Any) -> Any:
    return pc.subtract(_float(a), pc.multiply(_floor_divide(a, b), _float(b)))


def _arithmetic(function: Callable[..., Any]) -> Operation:
    return lambda a, b: function(_float(a), _float(b))


def _of_one(function: Callable[..., Any]) -> Operation:
    return lambda values: _finite(function(_float(values)))


def _comparison(function: Callable[..., Any]) -> Operation:
    def compare(a: Any, b: Any) -> Any:
        if a.type != b.type and not _texts(a, b):
            a, b = _float(a), _float(b)
        return function(a, b)

    return compare


def _texts(a: Any, b: Any) -> bool:
    if not (pa.types.is_string(a.type) or pa.types.is_string(b.type)):
        return False
    if a.type != b.type:
        raise DataError(f"expected values of one kind, got {a.type} and {b.type}")
    return True


def _clipped(values: Any, *, lower: float, upper: float) -> Any:
    low = pc.max_element_wise(_float(values), pa.scalar(lower), skip_nulls=False)
    return pc.min_element_wise(low, pa.scalar(upper), skip_nulls=False)


def _number(values: Any) -> Any:
    if not pa.types.is_string(values.type):
        return values.cast(pa.float64())
    try:
        return values.cast(pa.float64())
    except pa.ArrowInvalid as error:
        raise DataError(f"expected texts that spell numbers: {error}") from error


def _text(values: Any) -> Any:
    return values if pa.types.is_string(values.type) else values.cast(pa.string())


def _joined(a: Any, b: Any, *, separator: str) -> Any:
    return pc.binary_join_element_wise(_text(a), _text(b), separator)


def _hashed(values: Any, *, buckets: int) -> Any:
    encoded = pc.dictionary_encode(_text(values))
    numbers = [
        None if value is None else zlib.crc32(value.encode()) % buckets
        for value in encoded.dictionary.to_pylist()
    ]
    return pa.array(numbers, pa.int64()).take(encoded.indices)


def _is_in(values: Any, *, values_: list[Any]) -> Any:
    if pa.types.is_string(values.type):
        wanted = pa.array([str(value) for value in values_], pa.string())
        found = pc.is_in(values, wanted)
    else:
        found = pc.is_in(_float(values), pa.array([float(v) for v in values_], pa.float64()))
    return pc.if_else(values.is_valid(), found, pa.scalar(None, pa.bool_()))


def _where(condition: Any, then: Any, otherwise: Any) -> Any:
    if then.type != otherwise.type and not _texts(then, otherwise):
        then, otherwise = _float(then), _float(otherwise)
    return pc.if_else(condition, then, otherwise)


def _filled(values: Any, value: Any) -> Any:
    if values.type != value.type and not _texts(values, value):
        values, value = _float(values), _float(value)
    return pc.coalesce(values, value)


OPERATIONS: Mapping[str, Operation] = {
    "abs": lambda values: pc.abs(_float(values)),
    "add": _arithmetic(pc.add),
    "and": lambda a, b: pc.and_kleene(a, b),
    "clipped": _clipped,
    "cos": _of_one(pc.cos),
    "divide": _divide,
    "equal": _comparison(pc.equal),
    "exp": lambda values: _finite(pc.power(pa.scalar(2.718281828459045), _float(values))),
    "filled": _filled,
    "floor_divide": _floor_divide,
    "greater": _comparison(pc.greater),
    "greater_equal": _comparison(pc.greater_equal),
    "hashed": _hashed,
    "is_in": lambda column, values: _is_in(column, values_=values),
    "is_missing": lambda values: pc.is_null(values),
    "joined": _joined,
    "less": _comparison(pc.less),
    "less_equal": _comparison(pc.less_equal),
    "log": _of_one(pc.ln),
    "log1p": _of_one(pc.log1p),
    "lower": lambda values: pc.utf8_lower(_text(values)),
    "multiply": _arithmetic(pc.multiply),
    "not": lambda values: pc.invert(values),
    "not_equal": _comparison(pc.not_equal),
    "number": _number,
    "or": lambda a, b: pc.or_kleene(a, b),
    "remainder": _remainder,
    "sin": _of_one(pc.sin),
    "sqrt": _of_one(pc.sqrt),
    "stripped": lambda values: pc.utf8_trim_whitespace(_text(values)),
    "subtract": _arithmetic(pc.subtract),
    "text": _text,
    "where": _where,
}
