"""Records on their way to the splits that they belong to."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from itertools import compress
from typing import Any

import pyarrow as pa

from penstock.data import parquet, payload, records, splits
from penstock.data.coding import examples
from penstock.data.files import appearing
from penstock.data.files.closing import ClosesOnExit
from penstock.data.files.keeping import keeping
from penstock.data.ingestion import Destination
from penstock.data.parallel.rows_done import RowsDone
from penstock.data.parallel.workers import Workers
from penstock.data.payload import PayloadFormat

# Input that a shard of a split stands for, until there are the most shards.
_SHARD_BYTES = 32 << 20
_MOST_SHARDS = 16

# How often each worker begins with the input anew: what it has written then is kept if it fails.
_ROUNDS = 2

# Writes some rows of the input, read when it is called; a unit of work.
BlockWriter = Callable[["SplitsWriter"], None]


def shard_count(files: Sequence[str], blocks: int) -> int:
    """Return how many files a split should have: a power of two, and at most one a block.

    It is the same on every machine.
    """
    size, shards = sum(map(os.path.getsize, files)), 1
    while size > shards * _SHARD_BYTES and 2 * shards <= min(blocks, _MOST_SHARDS):
        shards *= 2
    return shards


def write_blocks(
    to: Destination,
    blocks: Callable[[], Iterable[BlockWriter]],
    shards: int,
    progress: Callable[..., None],
    workers: Workers,
) -> None:
    """Write blocks by turns to the shards of the splits that their rows belong to.

    Several workers write where there are several shards; the files are the same in any case, and
    appear when all of a worker's are written. Those that an earlier try has kept are taken.
    `progress` is told the running total of rows.
    """
    if to.kept is None or shards < 2:
        _write_all(to, blocks, range(shards), shards, progress, workers)
        return
    with keeping(to.kept.folder, {**to.kept.record, "shards": shards}) as folder:
        if folder is None:
            _write_all(to, blocks, range(shards), shards, progress, workers)
            return
        kept = replace(to, uri=folder, kept=None)
        missing = [shard for shard in range(shards) if not _is_there(kept, shard, shards)]
        if len(missing) < shards:
            there = shards - len(missing)
            sys.stdout.write(f"{there} of {shards} shards are there from an earlier try.\n")
        _write_all(kept, blocks, missing, shards, progress, workers)
        for shard in range(shards):
            _move(shard, shards, kept, to)


def _is_there(to: Destination, shard: int, shards: int) -> bool:
    return all(os.path.isfile(to.file(split, shard, shards)) for split in to.split_names)


def _move(shard: int, shards: int, source: Destination, target: Destination) -> None:
    for split in target.split_names:
        os.makedirs(splits.split_directory(target.uri, split), exist_ok=True)
        os.replace(source.file(split, shard, shards), target.file(split, shard, shards))


def _write_all(
    to: Destination,
    blocks: Callable[[], Iterable[BlockWriter]],
    wanted: Sequence[int],
    shards: int,
    progress: Callable[..., None],
    workers: Workers,
) -> None:
    written = RowsDone(progress)
    count = min(len(wanted), workers.count * _ROUNDS)
    work = partial(_write_shards, to, blocks, shards)
    parts = [wanted[first::count] for first in range(count)]
    for _ in workers.map(work, parts, named=_named, advance=written.add):
        pass
    # Theirs, and what workers that died have left. Where the work fails, all is left as it is, so
    # that of a full disk can be told how full it is.
    appearing.clear(to.uri)


def _named(shards: Sequence[int]) -> str:
    return f"write the shards {', '.join(map(str, shards))} of the examples"


def _write_shards(
    to: Destination,
    blocks: Callable[[], Iterable[BlockWriter]],
    shards: int,
    mine: Sequence[int],
    advance: Callable[[int], None],
) -> None:
    # Each of two workers has its own, of which the first was taken for dead, and was not.
    os.makedirs(to.uri, exist_ok=True)
    aside = replace(to, uri=tempfile.mkdtemp(prefix=appearing.ASIDE, dir=to.uri))
    with ExitStack() as stack:
        writers = {
            shard: stack.enter_context(SplitsWriter(aside, shard, shards, advance))
            for shard in mine
        }
        for number, block in enumerate(blocks()):
            writer = writers.get(number % shards)
            if writer is not None:
                block(writer)
    for shard in mine:
        _move(shard, shards, aside, to)


class SplitsWriter(ClosesOnExit):
    """Writes records to the splits that they belong to, one shard of each, in their order.

    `advance` is told how many rows each call has written.
    """

    def __init__(
        self,
        to: Destination,
        shard: int = 0,
        shards: int = 1,
        advance: Callable[[int], None] = lambda _: None,
    ) -> None:
        self.to = to
        self._shard = (shard, shards)
        self._advance = advance
        self._stack = ExitStack()
        self._files: dict[str, Any] = {}
        self._schema = pa.schema([])
        for split in to.split_names:
            os.makedirs(splits.split_directory(to.uri, split), exist_ok=True)
            if to.payload_format is not PayloadFormat.FORMAT_PARQUET:
                writer = records.TFRecordWriter(to.file(split, *self._shard))
                self._files[split] = self._stack.enter_context(writer)

    def write_batch(
        self, batch: pa.RecordBatch, input_split: str, *, null_as_empty: bool = False
    ) -> None:
        """Write the rows of a record batch, as the destination's payload format."""
        if self.to.payload_format is PayloadFormat.FORMAT_PARQUET:
            taken = 0
            for split, rows in self._rows_by_split(batch, input_split, null_as_empty):
                self._parquet_writer(split, batch.schema).write(rows)
                taken += rows.num_rows
            self._advance(taken)
        else:
            serialized = examples.encode(batch, null_as_empty=null_as_empty)
            self.write_records(
                serialized, keys_of(batch, serialized, self.to, null_as_empty), input_split
            )

    def write_records(
        self, serialized: Sequence[bytes], keys: Sequence[bytes], input_split: str
    ) -> None:
        """Write serialized records that have these keys."""
        serialized, keys = sampled(serialized, keys, self.to)
        for split, part in self._parts(serialized, keys, input_split):
            self._files[split].write_many(part)
        self._advance(len(serialized))

    def _parts(
        self, items: Sequence[Any], keys: Sequence[bytes], input_split: str
    ) -> list[tuple[str, Sequence[Any]]]:
        if not self.to.buckets:
            return [(input_split, items)]
        parts = splits.partition(items, keys, self.to.buckets)
        return list(zip(self.to.split_names, parts, strict=True))

    def _rows_by_split(
        self, batch: pa.RecordBatch, input_split: str, null_as_empty: bool
    ) -> list[tuple[str, pa.RecordBatch]]:
        if not self.to.buckets and self.to.sample_rate >= 1:
            return [(input_split, batch)]
        return rows_by_split(batch, input_split, self.to, null_as_empty)

    def _parquet_writer(self, split: str, schema: pa.Schema) -> Any:
        if split not in self._files:
            self._schema = schema
            writer = parquet.ParquetWriter(self.to.file(split, *self._shard), schema)
            self._files[split] = self._stack.enter_context(writer)
        return self._files[split]

    def close(self) -> None:
        """Close the files of all splits; a split without rows has a file without rows."""
        self._stack.close()
        if self.to.payload_format is PayloadFormat.FORMAT_PARQUET:
            for split in self.to.split_names:
                if split not in self._files:
                    parquet.ParquetWriter(self.to.file(split, *self._shard), self._schema).close()


def keys_of(
    batch: pa.RecordBatch, serialized: list[bytes], to: Destination, null_as_empty: bool
) -> list[bytes]:
    """Return the keys of the rows of a batch, `serialized` being its tf.Examples."""
    name = to.key_feature
    if not name:
        return serialized
    index = batch.schema.get_field_index(name)
    if index < 0:
        raise payload.no_partition_feature(name)
    array = batch.column(index)
    lists = examples.to_feature_lists(pa.RecordBatch.from_arrays([array], [name])).column(0)
    if (lists.null_count and not null_as_empty) or pa.types.is_null(lists.type):
        payload.check_partition_kind(name, None)
    if pa.types.is_float32(lists.type.value_type):
        payload.check_partition_kind(name, "float_list")
    return examples.encode_feature(batch, name, null_as_empty=null_as_empty)


def sampled(
    items: Sequence[Any], keys: Sequence[bytes], to: Destination
) -> tuple[Sequence[Any], Sequence[bytes]]:
    """Return the items that are in the destination's sample, and their keys."""
    if to.sample_rate >= 1:
        return items, keys
    taken = [to.takes(key) for key in keys]
    return list(compress(items, taken)), list(compress(keys, taken))


def rows_by_split(
    batch: pa.RecordBatch, input_split: str, to: Destination, null_as_empty: bool
) -> list[tuple[str, pa.RecordBatch]]:
    """Distribute the rows of a batch as their tf.Examples would be."""
    keys = keys_of(batch, examples.encode(batch, null_as_empty=null_as_empty), to, null_as_empty)
    taken, of_taken = sampled(range(batch.num_rows), keys, to)
    named = [(input_split, taken)]
    if to.buckets:
        parts = splits.partition(taken, of_taken, to.buckets)
        named = list(zip(to.split_names, parts, strict=True))
    table = pa.Table.from_batches([batch])
    rows = []
    for split, part in named:
        taken = table.take(pa.array(part, pa.int64())).combine_chunks().to_batches()
        rows += [(split, one) for one in taken]
    return rows
