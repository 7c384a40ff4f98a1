"""Rows as numbers: which are whose, and whether two have the same values.

Values become hashes of 64 bits, so that rows can be compared without being held.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from penstock.components.example_diff.comparison import Comparison
from penstock.data.coding.examples import varint
from penstock.data.data_files import is_parquet
from penstock.data.file_columns import located
from penstock.data.records import (
    DEFAULT_BATCH_ROWS,
    decode_records,
    read_record_batches,
    read_serialized_batches,
    rebatch,
)
from penstock.errors import DataError

# Whether a row has a feature.
ABSENT, EMPTY, PRESENT = 0, 1, 2
# Of a confusion feature that a row lacks, as TFDV names it.
MISSING = b"__MISSING_VALUE__"

_BYTES, _INTEGERS, _FLOATS = 1, 2, 3
Hashes = np.ndarray[Any, np.dtype[np.uint64]]


@dataclass(frozen=True)
class Hashed:
    """A feature of rows: whether they have it, and a hash of its values."""

    states: np.ndarray[Any, np.dtype[np.uint8]]
    hashes: Hashes

    def take(self, rows: Any) -> Hashed:
        """Return it of some rows."""
        return Hashed(self.states[rows], self.hashes[rows])

    @classmethod
    def absent(cls, rows: int) -> Hashed:
        """Return a feature that no row has."""
        return cls(np.zeros(rows, np.uint8), np.zeros(rows, np.uint64))


@dataclass
class Side:
    """The rows of one data set.

    `rows` are the places, among all rows, of those that have identifiers; `without` counts the
    others. Features and codes are of `rows`. The codes of a confusion feature's values are their
    places in `values`, which both data sets have.
    """

    rows: Any
    identifiers: Hashes
    features: Mapping[str, Hashed]
    codes: Mapping[str, np.ndarray[Any, np.dtype[np.int64]]]
    without: int


@dataclass
class Values:
    """The values of confusion features, in the order in which they were met."""

    numbers: dict[bytes, int] = field(default_factory=dict)

    def number(self, value: bytes) -> int:
        """Return the number of a value, a new one if it was not met before."""
        return self.numbers.setdefault(value, len(self.numbers))


def read_side(
    files: Sequence[str],
    comparison: Comparison,
    values: Mapping[str, Values],
    advance: Callable[[int], None],
) -> Side:
    """Read the rows of some files.

    Raises:
      DataError: a confusion feature is no text.
    """
    compared: dict[str, list[tuple[int, Hashed]]] = {}
    codes: dict[str, list[Any]] = {name: [] for name in values}
    identifiers, rows = [], []
    total = kept = 0
    for file in files:
        for batch, records in _read(file):
            with located(file):
                hashed = {
                    name: _with_unset(hashed_lists(column, comparison.digits), name, records)
                    for name, column in zip(batch.schema.names, batch.columns, strict=True)
                    if name in comparison.identifiers or name not in comparison.ignored
                }
                of_batch = {n: _codes(batch, n, one) for n, one in values.items()}
            known, keys = _identified(hashed, comparison.identifiers, batch.num_rows)
            places = np.flatnonzero(known)
            identifiers.append(keys[places])
            rows.append(places + total)
            for name, feature in hashed.items():
                if name not in comparison.identifiers and feature.states.any():
                    compared.setdefault(name, []).append((kept, feature.take(places)))
            for name, numbers in of_batch.items():
                codes[name].append(numbers[places])
            total += batch.num_rows
            kept += len(places)
            advance(batch.num_rows)
    return Side(
        _joined(rows, np.int64),
        _joined(identifiers, np.uint64),
        {name: _placed(parts, kept) for name, parts in compared.items()},
        {name: _joined(parts, np.int64) for name, parts in codes.items()},
        total - kept,
    )


def _read(file: str) -> Iterator[tuple[pa.RecordBatch, pa.Array | None]]:
    """Yield batches, with the serialized examples that they are of where there are any."""
    if is_parquet(file):
        for batch in read_record_batches(file):
            yield batch, None
        return
    first = 0
    for records in rebatch(read_serialized_batches(file), DEFAULT_BATCH_ROWS):
        yield decode_records(records, file, first), pa.array(records, pa.large_binary())
        first += len(records)


def _with_unset(feature: Hashed, name: str, records: pa.Array | None) -> Hashed:
    """Return a feature that some rows name without saying of what type it is.

    TFX's CsvExampleGen writes empty cells so; once decoded they are as absent as others.
    """
    absent = feature.states == ABSENT
    if records is not None and absent.any():
        key = name.encode()
        entry = b"\n" + varint(len(key)) + key
        named = pc.match_substring(records, entry).to_numpy(zero_copy_only=False)
        feature.states[absent & named] = EMPTY
    return feature


def hashed_lists(column: pa.Array, digits: int | None) -> Hashed:
    """Return a column of lists, as `read_record_batches` has them, hashed list by list."""
    rows = len(column)
    if pa.types.is_null(column.type):
        return Hashed.absent(rows)
    lengths = pc.list_value_length(column).fill_null(0).to_numpy(zero_copy_only=False)
    lengths = lengths.astype(np.int64)
    ends = np.cumsum(lengths)
    hashes, kind = _hashed_values(column.flatten(), digits)
    within = np.arange(len(hashes), dtype=np.uint64) - np.repeat(
        (ends - lengths).astype(np.uint64), lengths
    )
    sums = np.concatenate([[np.uint64(0)], np.cumsum(_mixed(hashes ^ _mixed(within)))])
    of_lists = sums[ends] - sums[ends - lengths]
    tagged = of_lists + _mixed(lengths.astype(np.uint64)) + np.uint64(kind)
    states = np.where(lengths > 0, PRESENT, EMPTY).astype(np.uint8)
    states[column.is_null().to_numpy(zero_copy_only=False)] = ABSENT
    return Hashed(states, _mixed(tagged))


def _hashed_values(values: pa.Array, digits: int | None) -> tuple[Hashes, int]:
    if pa.types.is_integer(values.type) or pa.types.is_boolean(values.type):
        integers = values.cast(pa.int64()).to_numpy(zero_copy_only=False)
        return _mixed(integers.astype(np.int64).view(np.uint64)), _INTEGERS
    if pa.types.is_floating(values.type):
        floats = values.to_numpy(zero_copy_only=False).astype(np.float32)
        if digits is not None:
            floats = _rounded(floats, digits)
        return _mixed(floats.view(np.uint32).astype(np.uint64)), _FLOATS
    encoded = pc.dictionary_encode(values.cast(pa.large_binary()))
    distinct = np.array([_hashed_bytes(v) for v in encoded.dictionary.to_pylist()], np.uint64)
    return distinct[encoded.indices.to_numpy(zero_copy_only=False)], _BYTES


def _rounded(floats: np.ndarray[Any, Any], digits: int) -> np.ndarray[Any, Any]:
    """Round as Python does: NumPy multiplies, and is off where a half stands at the last digit."""
    distinct, places = np.unique(floats, return_inverse=True)
    rounded = np.array([round(value, digits) for value in distinct.tolist()], np.float32)
    return rounded[places]


def _hashed_bytes(value: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(value, digest_size=8).digest(), "little")


def _mixed(numbers: Hashes) -> Hashes:
    """Mix the bits of numbers, one to one (the finalizer of SplitMix64)."""
    numbers = numbers + np.uint64(0x9E3779B97F4A7C15)
    numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    numbers = (numbers ^ (numbers >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return numbers ^ (numbers >> np.uint64(31))


def _identified(
    hashed: Mapping[str, Hashed], identifiers: Sequence[str], rows: int
) -> tuple[Any, Hashes]:
    """Return which rows have values of all identifiers, and a hash of them all."""
    known, keys = np.ones(rows, bool), np.zeros(rows, np.uint64)
    for name in sorted(identifiers):
        feature = hashed.get(name) or Hashed.absent(rows)
        known &= feature.states == PRESENT
        keys = _mixed(keys ^ feature.hashes)
    return known, keys


def _codes(batch: pa.RecordBatch, name: str, values: Values) -> Any:
    """Return the number of each row's value of a feature."""
    column = batch.column(name) if name in batch.schema.names else pa.nulls(batch.num_rows)
    lists = column.to_pylist()
    if any(each and (len(each) > 1 or not isinstance(each[0], bytes)) for each in lists):
        raise DataError(
            f"expected one text a row of the confusion feature {name!r}",
            column=name,
            hint="confusion_features can be features of single texts alone.",
        )
    return np.array([values.number(each[0] if each else MISSING) for each in lists], np.int64)


def _placed(parts: Sequence[tuple[int, Hashed]], rows: int) -> Hashed:
    """Return parts of a feature at their places among all rows, of which others lack it."""
    whole = Hashed.absent(rows)
    for start, part in parts:
        end = start + len(part.states)
        whole.states[start:end], whole.hashes[start:end] = part.states, part.hashes
    return whole


def _joined(parts: Sequence[Any], dtype: Any) -> Any:
    return np.concatenate(parts) if parts else np.empty(0, dtype)
