"""Columns of two tables as counts in the same bins.

Bins are those of what a window is compared with: of numbers, about equal parts of its rows between
quantiles; of anything else its most frequent values. What has no value is in a bin of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from penstock.data.coding.columns import is_list

MISSING = "(none)"
OTHERS = "(others)"
NEW = "(new)"
# So many cases of a bin are expected in each sample, for chances to be right (W. Cochran, 1954).
_FEWEST_EXPECTED = 5
_MOST_CATEGORIES = 50


@dataclass(frozen=True)
class Binned:
    """The counts of a column in the window and in what it is compared with, bin by bin.

    The last bin has the rows without a value. `edges` are of numbers, one more than other bins.
    `bin_of` has the bin of each row of the window.
    """

    names: tuple[str, ...]
    counts: Any
    reference: Any
    bin_of: Any
    edges: tuple[float, ...] = ()

    @property
    def is_of_numbers(self) -> bool:
        """Whether its bins are ranges of numbers."""
        return bool(self.edges)


def is_of_numbers(column: Any) -> bool:
    """Return whether a column's values are compared as numbers: those of lists one by one."""
    kind = _value_type(column.type)
    return bool(
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_decimal(kind)
        or pa.types.is_temporal(kind)
    )


def values_of(column: Any) -> Any:
    """Return a column as an array of one value a row, or one a value of a list.

    Numbers are floats, with NaN for none; others are texts, with None.
    """
    array = _flat(column)
    if is_of_numbers(column):
        return _numbers(array)
    return _texts(array)


def binned(column: Any, reference: Any, bins: int = 10) -> Binned:
    """Count a column of the window, and that of what it is compared with, in the same bins.

    They are compared as numbers where both are, and as texts otherwise.
    """
    if is_of_numbers(column) and is_of_numbers(reference):
        return _of_numbers(values_of(column), values_of(reference), bins)
    return _of_texts(_texts(_flat(column)), _texts(_flat(reference)))


def told_apart(binned: Binned) -> tuple[Any, Any]:
    """Return the counts of which chances can be told: bins of few cases are put together.

    New values are rarer ones that a sample happened not to have, so these two are one bin.
    """
    one, other = binned.counts, binned.reference
    smaller = min(one.sum(), other.sum()) / max(1, one.sum() + other.sum())
    is_rare = (one + other) * smaller < _FEWEST_EXPECTED
    if not binned.is_of_numbers:
        is_rare = is_rare | np.isin(binned.names, (OTHERS, NEW))
    if not is_rare.any():
        return one, other
    return _with_rest(one, is_rare), _with_rest(other, is_rare)


def independent_rows(binned: Binned, groups: Any) -> float:
    """Return how many independent rows tell as much as those of a window do.

    Rows of one group, as of one hour, may hang together: the variance of shares is that of a ratio
    estimated from clusters (W. Cochran, Sampling Techniques, 1977), and the bins count by theirs.
    """
    size = float(binned.counts.sum())
    _, numbers = np.unique(groups, return_inverse=True)
    count = int(numbers.max()) + 1 if len(numbers) else 0
    if count < 2 or len(numbers) != len(binned.bin_of):
        return size
    table = np.zeros((count, len(binned.names)))
    np.add.at(table, (numbers, binned.bin_of), 1)
    sizes = table.sum(axis=1, keepdims=True)
    shares = table.sum(axis=0) / size
    apart = ((table - sizes * shares) ** 2).sum(axis=0)
    variance = apart.sum() * count / (count - 1) / size**2
    by_chance = (shares * (1 - shares)).sum() / size
    effect = variance / by_chance if by_chance > 0 else 1.0
    return size / max(1.0, effect)


def _with_rest(counts: Any, is_rest: Any) -> Any:
    return np.append(counts[~is_rest], counts[is_rest].sum())


def _of_numbers(values: Any, reference: Any, bins: int) -> Binned:
    known = reference[~np.isnan(reference)]
    finite = known[np.isfinite(known)]
    points = np.quantile(finite, np.linspace(0, 1, bins + 1)[1:-1]) if len(finite) else []
    inner = np.unique(points)
    # A quantile that is the least value would leave the first bin empty.
    inner = inner[inner > finite.min()] if len(finite) else inner
    every = np.concatenate([finite, values[np.isfinite(values)]])
    low, high = (float(every.min()), float(every.max())) if len(every) else (0.0, 0.0)
    edges = (min(low, inner[0]) if len(inner) else low, *map(float, inner), high)
    names = tuple(_range(edges, place) for place in range(len(edges) - 1))
    count = len(names) + 1

    def bin_of(numbers: Any) -> Any:
        places = np.searchsorted(inner, numbers, side="right")
        return np.where(np.isnan(numbers), count - 1, places)

    places = bin_of(values)
    return Binned(
        (*names, MISSING),
        np.bincount(places, minlength=count),
        np.bincount(bin_of(reference), minlength=count),
        places,
        tuple(float(edge) for edge in edges),
    )


def _of_texts(values: Any, reference: Any) -> Binned:
    counted = pc.value_counts(pc.drop_null(reference))
    frequent = sorted(
        zip(counted.field(1).to_pylist(), counted.field(0).to_pylist(), strict=True),
        key=lambda pair: (-pair[0], pair[1]),
    )
    names = pa.array([name for _, name in frequent], pa.string())
    kept = names[:_MOST_CATEGORIES].to_pylist()
    count = len(kept) + 3

    def bin_of(texts: Any) -> Any:
        ranks = pc.fill_null(pc.index_in(texts, value_set=names), -1).to_numpy()
        places = np.minimum(ranks, len(kept))
        places = np.where(ranks < 0, len(kept) + 1, places)
        return np.where(texts.is_null().to_numpy(zero_copy_only=False), count - 1, places)

    places = bin_of(values)
    return Binned(
        (*kept, OTHERS, NEW, MISSING),
        np.bincount(places, minlength=count),
        np.bincount(bin_of(reference), minlength=count),
        places,
    )


def _range(edges: tuple[float, ...], place: int) -> str:
    return f"{edges[place]:.6g} to {edges[place + 1]:.6g}"


def _value_type(kind: pa.DataType) -> pa.DataType:
    while is_list(kind):
        kind = kind.value_type
    return kind


def _flat(column: Any) -> Any:
    """Return a column's values; a list without any is one that is missing."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], array.type)
    while is_list(array.type):
        lengths = pc.fill_null(pc.list_value_length(array), 0)
        empty = int(pc.sum(pc.equal(lengths, 0)).as_py() or 0)
        array = pa.concat_arrays([pc.list_flatten(array), pa.nulls(empty, array.type.value_type)])
    return array


def _numbers(array: Any) -> Any:
    kind = array.type
    if pa.types.is_temporal(kind):
        wide = pa.int32() if kind.bit_width == 32 else pa.int64()
        array = array.cast(wide)
    return array.cast(pa.float64()).to_numpy(zero_copy_only=False)


def _texts(array: Any) -> Any:
    kind = array.type
    if pa.types.is_string(kind):
        return array
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        texts = [None if v is None else v.decode("utf-8", "replace") for v in array.to_pylist()]
        return pa.array(texts, pa.string())
    if pa.types.is_nested(kind):
        return pa.array([None if v is None else str(v) for v in array.to_pylist()], pa.string())
    return array.cast(pa.string())
