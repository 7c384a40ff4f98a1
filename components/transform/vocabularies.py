"""Vocabularies: counting tokens in Arrow, and tf.Transform's way to prune, order and write them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from penstock.data.records import TFRecordWriter

if TYPE_CHECKING:
    from tensorflow_transform.analyzer_nodes import VocabularyOrderAndWrite, VocabularyPrune

# Tokens that wait for being counted; more of them take memory, fewer take time.
_WAITING_TOKENS = 1 << 20

_WRITTEN_AT_ONCE = 1 << 16


@dataclass(frozen=True)
class Counts:
    """Tokens, all different unless said otherwise, and their values.

    A value is what orders the vocabulary and is stored with the token: a frequency, a sum of
    weights, or how much the token says about the label. In the last case `frequencies` are the
    weights of the tokens.
    """

    tokens: pa.Array
    values: np.ndarray
    frequencies: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.tokens)

    def take(self, chosen: np.ndarray) -> Counts:
        """Return the tokens at these positions, or where the mask is true."""
        if chosen.dtype == bool:
            chosen = np.flatnonzero(chosen)
        frequencies = None if self.frequencies is None else self.frequencies[chosen]
        return Counts(self.tokens.take(pa.array(chosen)), self.values[chosen], frequencies)

    @classmethod
    def together(cls, parts: Sequence[Counts]) -> Counts:
        """Return the parts one after the other; a token may then come several times."""
        values = np.concatenate([part.values for part in parts])
        return cls(pa.concat_arrays([part.tokens for part in parts]), values)

    def summed(self) -> Counts:
        """Return each token once, with the sum of its values."""
        if not len(self):
            return self
        table = pa.table({"token": self.tokens, "value": pa.array(self.values)})
        sums = table.group_by("token").aggregate([("value", "sum")]).combine_chunks()
        return Counts(_array(sums["token"]), sums["value_sum"].to_numpy())


def _array(column: pa.ChunkedArray) -> pa.Array:
    chunks = column.chunks
    return chunks[0] if len(chunks) == 1 else pa.concat_arrays(chunks)


def token_array(tokens: np.ndarray | Sequence[Any], is_text: bool) -> pa.Array:
    """Return tokens, bytes or integers, as an Arrow array."""
    return pa.array(tokens, type=pa.large_binary() if is_text else pa.int64())


def counts_of(pairs: Iterable[tuple[Any, Any]]) -> Counts:
    """Return the counts that pairs of a value and a token say."""
    values, tokens = zip(*pairs, strict=True) if pairs else ((), ())
    is_text = not tokens or isinstance(tokens[0], bytes)
    return Counts(token_array(tokens, is_text), np.array(values))


class FrequencyCount:
    """Counts tokens, or sums their weights if batches have a second array."""

    def __init__(self, *, is_text: bool, weighted: bool) -> None:
        self._is_text, self._weighted = is_text, weighted
        value_type = np.float64 if weighted else np.int64
        self._counts = Counts(token_array([], is_text), np.zeros(0, value_type))
        self._waiting: list[Counts] = []

    def add(self, arrays: Sequence[np.ndarray]) -> None:
        """Add a batch."""
        tokens, *weights = arrays
        array = token_array(tokens, self._is_text)
        values = weights[0] if weights else np.ones(len(array), np.int64)
        self._waiting.append(Counts(array, values.astype(self._counts.values.dtype, copy=False)))
        self._count_at_times()

    def merge(self, further: FrequencyCount) -> None:
        """Add the batches that were added to another."""
        self._waiting.append(further.result())
        self._count_at_times()

    def fresh(self) -> FrequencyCount:
        """Return one without batches."""
        return FrequencyCount(is_text=self._is_text, weighted=self._weighted)

    def result(self) -> Counts:
        """Return all tokens."""
        self._count()
        return self._counts

    def _count_at_times(self) -> None:
        # Summing all again at each doubling makes it linear in the number of tokens.
        if sum(map(len, self._waiting)) > max(_WAITING_TOKENS, len(self._counts)):
            self._count()

    def _count(self) -> None:
        self._counts = Counts.together([self._counts, *self._waiting]).summed()
        self._waiting = []


def pruned(counts: Counts, operation: VocabularyPrune) -> Counts:
    """Return the tokens that the thresholds and limits of a vocabulary leave, as bytes."""
    left = _limited(
        counts,
        operation.frequency_threshold,
        operation.informativeness_threshold,
        operation.input_dtype,
        operation.top_k,
    )
    if operation.key_fn is None:
        return left
    covering = _covering(
        _limited(
            counts,
            operation.coverage_frequency_threshold,
            operation.coverage_informativeness_threshold,
            operation.input_dtype,
        ),
        operation.coverage_top_k,
        operation.key_fn,
    )
    left_tokens = set(left.tokens.to_pylist())
    new = np.array([token not in left_tokens for token in covering.tokens.to_pylist()], bool)
    return Counts.together([left, covering.take(new)])


def _limited(
    counts: Counts,
    frequency_threshold: float,
    informativeness_threshold: float,
    input_dtype: str,
    top_k: int | None = None,
) -> Counts:
    if frequency_threshold > 0 or informativeness_threshold > float("-inf"):
        kept = np.ones(len(counts), bool)
        if counts.frequencies is None:
            kept &= counts.values >= frequency_threshold
        else:
            kept &= counts.frequencies >= frequency_threshold
            kept &= counts.values >= informativeness_threshold
        counts = counts.take(kept)
    tokens = counts.tokens
    if not pa.types.is_large_binary(tokens.type):
        tokens = tokens.cast(pa.large_string()).cast(pa.large_binary())
    counts = Counts(tokens, counts.values)
    if top_k is None:
        return counts
    return counts.take(_largest_first(counts)[:top_k]) if len(counts) else _dummy(input_dtype)


def _covering(counts: Counts, top_k: int | None, key_fn: Callable[[Any], Any]) -> Counts:
    """Return the `top_k` tokens of each key that `key_fn` finds in tokens."""
    if top_k is None:
        return counts
    seen: dict[Any, int] = {}
    chosen = []
    for position in _largest_first(counts).tolist():
        key = key_fn(counts.tokens[position].as_py())
        seen[key] = seen.get(key, 0) + 1
        if seen[key] <= top_k:
            chosen.append(position)
    return counts.take(np.array(chosen, np.int64))


def _largest_first(counts: Counts) -> np.ndarray:
    """Return the positions of the tokens by falling value, and by the falling token in these."""
    table = pa.table({"value": pa.array(counts.values), "token": counts.tokens})
    keys = [("value", "descending"), ("token", "descending")]
    return np.asarray(pc.sort_indices(table, sort_keys=keys))


def _dummy(input_dtype: str) -> Counts:
    """Return what stands for an empty vocabulary: lookup tables cannot be empty."""
    from tensorflow_transform.analyzers import get_empy_vocabulary_dummy_value

    count, token = get_empy_vocabulary_dummy_value(input_dtype)
    return Counts(token_array([token], is_text=True), np.array([count]))


def write(
    counts: Counts, operation: VocabularyOrderAndWrite, path: str, reserved: Sequence[bytes] = ()
) -> str:
    """Write a vocabulary in order, behind the reserved tokens, and return its file."""
    if len(reserved):
        taken = pc.is_in(counts.tokens, value_set=token_array(list(reserved), is_text=True))
        counts = counts.take(~np.asarray(taken))
    if operation.fingerprint_shuffle:
        digests = [hashlib.sha1(token).digest() for token in counts.tokens.to_pylist()]
        counts = counts.take(np.array(sorted(range(len(counts)), key=digests.__getitem__), int))
    else:
        counts = counts.take(_largest_first(counts))
    if not len(counts) and not len(reserved):
        counts = _dummy(operation.input_dtype)
    entries = _entries(counts, reserved, store_values=operation.store_frequency)
    if operation.file_format == "tfrecord_gzip":
        path = f"{path}.tfrecord.gz"
        with TFRecordWriter(path) as writer:
            for block in entries:
                writer.write_many(block)
        return path
    with open(path, "wb") as file:
        for block in entries:
            file.write(b"\n".join([*block, b""]))
    return path


def _entries(
    counts: Counts, reserved: Sequence[bytes], *, store_values: bool
) -> Iterator[list[bytes]]:
    """Yield the entries of a vocabulary's file in blocks."""
    blocks: Iterable[tuple[list[bytes], list[Any]]] = (
        (
            counts.tokens[start : start + _WRITTEN_AT_ONCE].to_pylist(),
            counts.values[start : start + _WRITTEN_AT_ONCE].tolist(),
        )
        for start in range(0, len(counts), _WRITTEN_AT_ONCE)
    )
    if len(reserved):
        yield [b"-1 " + token for token in reserved] if store_values else list(reserved)
    for tokens, values in blocks:
        if store_values:
            pairs = zip(values, tokens, strict=True)
            yield [str(value).encode() + b" " + token for value, token in pairs]
        else:
            yield tokens
