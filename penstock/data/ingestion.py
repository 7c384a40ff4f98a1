"""What all ExampleGens share: their inputs, their splits, and what they say about the result."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import compress
from typing import Any

import pyarrow as pa

from penstock.data import examples, fingerprint, parquet, payload, records, remote, spans, splits
from penstock.data.closing import ClosesOnExit
from penstock.data.payload import PayloadFormat
from penstock.data.spans import RangeConfig, ResolvedInput
from penstock.data.splits import InputConfig, OutputConfig
from penstock.errors import ParameterError

SPAN_PROPERTY = "span"
VERSION_PROPERTY = "version"
FINGERPRINT_PROPERTY = "input_fingerprint"


@dataclass(frozen=True)
class Destination:
    """Where records go: the folder of the artifact, its splits, and the format of the payload.

    `buckets` are cumulated; without them every input split is an output split of its own.
    `sample_rate` is the share of records to write.
    """

    uri: str
    split_names: tuple[str, ...]
    buckets: tuple[int, ...]
    partition_feature_name: str | None
    payload_format: PayloadFormat = PayloadFormat.FORMAT_TF_EXAMPLE
    sample_rate: float = 1.0

    def takes(self, key: bytes) -> bool:
        """Whether a record is in the sample: its key decides, so it is the same one every time."""
        if self.sample_rate >= 1:
            return True
        # Not the digest that decides on the split: every split is to have its share.
        drawn = int.from_bytes(hashlib.sha256(b"sample\0" + key).digest()[:8], "big")
        return drawn < self.sample_rate * 2**64

    @property
    def key_feature(self) -> str | None:
        """The feature whose value decides on the split; None where the whole record does."""
        return self.partition_feature_name if self.buckets else None

    def file(self, split: str) -> str:
        """Return the data file of a split that is written as one."""
        directory = splits.split_directory(self.uri, split)
        if self.payload_format is PayloadFormat.FORMAT_PARQUET:
            return os.path.join(
                directory, records.shard_name(records.PARQUET_PREFIX, 0, 1, ".parquet")
            )
        return os.path.join(directory, records.shard_name(records.PREFIX, 0, 1))


def destination(
    uri: str,
    input_config: InputConfig,
    output_config: OutputConfig | None,
    payload_format: PayloadFormat = PayloadFormat.FORMAT_TF_EXAMPLE,
    sample_rate: float | None = None,
) -> Destination:
    """Return where records go, and which share of them.

    Raises:
      ParameterError: see `splits.output_split_names`; or the share is not above 0 and at most 1.
    """
    if sample_rate is not None and not 0.0 < sample_rate <= 1.0:
        raise ParameterError(
            f"expected a sample_rate above 0 and at most 1, got {sample_rate}",
            hint="A rate of 0.1 takes about a tenth of the records, the same ones every time.",
        )
    output = splits.output_config_or_default(input_config, output_config)
    names = splits.output_split_names(input_config, output)
    return Destination(
        uri,
        tuple(names),
        tuple(splits.cumulated_buckets(output.split_config)),
        output.split_config.partition_feature_name or None,
        payload_format,
        1.0 if sample_rate is None else sample_rate,
    )


def check_payload(component: str, to: Destination) -> None:
    """Raise ParameterError unless tables can be written in the destination's format."""
    if to.payload_format not in (PayloadFormat.FORMAT_TF_EXAMPLE, PayloadFormat.FORMAT_PARQUET):
        raise ParameterError(
            f"{component} cannot write {to.payload_format.name}",
            hint="output_data_format is FORMAT_TF_EXAMPLE or FORMAT_PARQUET.",
        )


def resolve_parameters(parameters: dict[str, Any]) -> dict[str, Any]:
    """Return span, version and input_fingerprint of an ExampleGen's input.

    The splits are checked here too, before anything runs.
    """
    input_config = parameters.get("input_config") or InputConfig()
    destination(
        "",
        input_config,
        parameters.get("output_config"),
        sample_rate=parameters.get("sample_rate"),
    )
    found = spans.resolve_input(
        parameters["input_base"], input_config, parameters.get("range_config")
    )
    return {
        "span": found.span,
        "version": found.version,
        "input_fingerprint": fingerprint.fingerprint_files(parameters["input_base"], found.files),
    }


def describe(
    artifact: Any,
    written: Destination,
    span: int,
    version: int | None,
    input_fingerprint: str,
) -> None:
    """Set on an Examples artifact what TFX's ExampleGens set."""
    artifact.split_names = splits.encode_split_names(written.split_names)
    artifact.span = span
    artifact.set_int_custom_property(SPAN_PROPERTY, span)
    if version is not None:
        artifact.version = version
        artifact.set_int_custom_property(VERSION_PROPERTY, version)
    if input_fingerprint:
        artifact.set_string_custom_property(FINGERPRINT_PROPERTY, input_fingerprint)
    artifact.set_string_custom_property(
        payload.PAYLOAD_FORMAT_PROPERTY, written.payload_format.name
    )
    artifact.set_string_custom_property(
        payload.FILE_FORMAT_PROPERTY, written.payload_format.file_format
    )


def input_of(
    input_base: str,
    input_config: InputConfig,
    range_config: RangeConfig | None,
    span: int,
    version: int | None,
    temporary_directory: str,
) -> ResolvedInput:
    """Return the files that span and version were resolved to.

    Those in an object store are fetched to the temporary directory.
    """
    found = spans.resolve_input(
        input_base, input_config, range_config, last_span=span, last_version=version
    )
    return (
        _fetched(found, input_base, temporary_directory) if remote.is_remote(input_base) else found
    )


def _fetched(found: ResolvedInput, input_base: str, folder: str) -> ResolvedInput:
    top = os.path.join(folder or tempfile.mkdtemp(), "fetched")
    places = {url: remote.local_name(top, remote.relative(input_base, url)) for url in found.files}
    remote.fetch_files(places, places.values())
    return replace(
        found,
        splits=tuple(
            replace(split, files=tuple(places[url] for url in split.files))
            for split in found.splits
        ),
    )


class SplitsWriter(ClosesOnExit):
    """Writes records to the splits that they belong to, one file a split, in their order.

    `progress` is told the running total of rows.
    """

    def __init__(self, to: Destination, progress: Callable[..., None] = lambda **_: None) -> None:
        self.to = to
        self.rows = 0
        self._progress = progress
        self._stack = ExitStack()
        self._files: dict[str, Any] = {}
        self._schema = pa.schema([])
        for split in to.split_names:
            os.makedirs(splits.split_directory(to.uri, split), exist_ok=True)
            if to.payload_format is not PayloadFormat.FORMAT_PARQUET:
                writer = records.TFRecordWriter(to.file(split))
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
            self._count(taken)
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
        self._count(len(serialized))

    def _count(self, rows: int) -> None:
        self.rows += rows
        self._progress(rows=self.rows)

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
            writer = parquet.ParquetWriter(self.to.file(split), schema)
            self._files[split] = self._stack.enter_context(writer)
        return self._files[split]

    def close(self) -> None:
        """Close the files of all splits; a split without rows has a file without rows."""
        self._stack.close()
        if self.to.payload_format is PayloadFormat.FORMAT_PARQUET:
            for split in self.to.split_names:
                if split not in self._files:
                    parquet.ParquetWriter(self.to.file(split), self._schema).close()


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
