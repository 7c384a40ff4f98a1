"""tf.Transform's combiners over batches, in place of Beam's `CombineGlobally` and `CombinePerKey`.

The combiners are tf.Transform's own objects, so that an accumulator is what it is on Beam, and
may come from, or go to, an analyzer cache.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from tensorflow_transform.analyzer_nodes import Combiner

Arrays = Sequence[np.ndarray]


class Combination:
    """One accumulator over all batches."""

    def __init__(self, combiner: Combiner) -> None:
        self._combiner = combiner
        self._accumulator: Any = None

    def add(self, arrays: Arrays) -> None:
        """Add a batch."""
        self._accumulator = self._combiner.add_input(self._begun(), arrays)

    def merge(self, further: Combination) -> None:
        """Add the batches that were added to another."""
        # As it is where there was nothing: to merge it with nothing could round it.
        if self._accumulator is None:
            self._accumulator = further._accumulator
        elif further._accumulator is not None:
            pair = [self._accumulator, further._accumulator]
            self._accumulator = self._combiner.merge_accumulators(pair)

    def fresh(self) -> Combination:
        """Return one without batches."""
        return Combination(self._combiner)

    def result(self) -> list[Any]:
        """Return the accumulator, as the only element."""
        return [self._combiner.compact(self._begun())]

    def _begun(self) -> Any:
        if self._accumulator is None:
            return self._combiner.create_accumulator()
        return self._accumulator


class CombinationPerKey:
    """An accumulator a key; the first array of a batch has the key of each row."""

    def __init__(self, combiner: Combiner) -> None:
        self._combiner = combiner
        self._accumulators: dict[Any, Any] = {}

    def add(self, arrays: Arrays) -> None:
        """Add a batch."""
        create, add = self._combiner.create_accumulator, self._combiner.add_input
        accumulators = self._accumulators
        for key, rows in _rows_by_key(self._combiner, arrays):
            if key not in accumulators:
                accumulators[key] = create()
            accumulators[key] = add(accumulators[key], rows)

    def merge(self, further: CombinationPerKey) -> None:
        """Add the batches that were added to another."""
        for key, accumulator in further._accumulators.items():
            if key in self._accumulators:
                pair = [self._accumulators[key], accumulator]
                accumulator = self._combiner.merge_accumulators(pair)
            self._accumulators[key] = accumulator

    def fresh(self) -> CombinationPerKey:
        """Return one without batches."""
        return CombinationPerKey(self._combiner)

    def result(self) -> list[tuple[Any, Any]]:
        """Return keys and their accumulators."""
        compact = self._combiner.compact
        return [(key, compact(accumulator)) for key, accumulator in self._accumulators.items()]


def _rows_by_key(combiner: Combiner, arrays: Arrays) -> Iterable[tuple[Any, list[Any]]]:
    """Return keys and what to add to their accumulators."""
    from tensorflow_transform.analyzers import QuantilesCombiner

    keys, *values = arrays
    if type(combiner) is not QuantilesCombiner:
        return ((key, [value[row] for value in values]) for row, key in enumerate(keys))
    # A sketch takes any number of values of its only feature, and one at a time takes it long.
    unique, groups = np.unique(keys, return_inverse=True)
    order = np.argsort(groups, kind="stable")
    ends = np.cumsum(np.bincount(groups.reshape(-1), minlength=len(unique)))
    starts = [0, *ends[:-1]]
    return (
        (key, [value[order[start:end]] for value in values])
        for key, start, end in zip(unique, starts, ends, strict=True)
    )


def merged(combiner: Combiner, accumulators: Iterable[Any]) -> Any:
    """Return the output of a combiner for all accumulators together."""
    everything = [combiner.create_accumulator(), *accumulators]
    return combiner.extract_output(combiner.merge_accumulators(everything))


def merged_per_key(
    combiner: Combiner, accumulators: Iterable[tuple[Any, Any]]
) -> list[tuple[Any, Any]]:
    """Return keys and their outputs, sorted by the keys."""
    by_key: dict[Any, list[Any]] = {}
    for key, accumulator in accumulators:
        by_key.setdefault(key, []).append(accumulator)
    return [(key, merged(combiner, by_key[key])) for key in sorted(by_key)]


def formatted_keys(combiner: Combiner, outputs: Sequence[tuple[Any, Any]]) -> tuple[Any, ...]:
    """Return the keys in one array, and each output of the combiner for all keys in one array."""
    infos = combiner.output_tensor_infos()
    columns = zip(*(output for _, output in outputs), strict=True) if outputs else [()] * len(infos)
    return (
        [np.array([key for key, _ in outputs], dtype=object)],
        *(
            [np.array(column, dtype=info.dtype.as_numpy_dtype)]
            for column, info in zip(columns, infos, strict=True)
        ),
    )
