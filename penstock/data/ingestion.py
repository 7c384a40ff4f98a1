"""What all ExampleGens share: their inputs, their splits, and what they say about the result."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from penstock import __version__
from penstock.data import data_files, payload, spans, splits
from penstock.data.files import fingerprint, remote
from penstock.data.parallel.fetching import Fetch, fetch_files
from penstock.data.payload import PayloadFormat
from penstock.data.spans import RangeConfig, ResolvedInput
from penstock.data.splits import InputConfig, OutputConfig
from penstock.errors import ParameterError

SPAN_PROPERTY = "span"
VERSION_PROPERTY = "version"
FINGERPRINT_PROPERTY = "input_fingerprint"
# Of examples and their statistics: which cells made text of columns of numbers, as JSON by column.
TEXTS_PROPERTY = "text_among_numbers"


@dataclass(frozen=True)
class Kept:
    """Where shards are until all are there, and what tells that others would be the same."""

    folder: str
    record: Mapping[str, Any]


@dataclass(frozen=True)
class Destination:
    """Where records go: the folder of the artifact, its splits, and the format of the payload.

    `buckets` are cumulated; without them every input split is an output split of its own.
    `sample_rate` is the share of records to write. With `kept`, shards of a try that has failed
    or was killed are there for the next one.
    """

    uri: str
    split_names: tuple[str, ...]
    buckets: tuple[int, ...]
    partition_feature_name: str | None
    payload_format: PayloadFormat = PayloadFormat.FORMAT_TF_EXAMPLE
    sample_rate: float = 1.0
    kept: Kept | None = None

    def keeping(self, folder: str, input_fingerprint: str, *said: Any) -> Destination:
        """Return the same, with shards kept in a folder for a next try that makes the same ones.

        It does if the input has the same fingerprint, and all else that is `said`, as frozen
        values, is the same. Without a folder, or a fingerprint, nothing is kept.
        """
        if not (folder and input_fingerprint):
            return self
        record = {
            "penstock": __version__,
            "input_fingerprint": input_fingerprint,
            "destination": repr(replace(self, uri="", kept=None)),
            "parameters": repr(said),
        }
        return replace(self, kept=Kept(folder, record))

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

    def file(self, split: str, shard: int = 0, shards: int = 1) -> str:
        """Return a data file of a split that is written as that many."""
        is_parquet = self.payload_format is PayloadFormat.FORMAT_PARQUET
        prefix = data_files.PARQUET_PREFIX if is_parquet else data_files.PREFIX
        name = data_files.shard_name(prefix, shard, shards, ".parquet" if is_parquet else ".gz")
        return os.path.join(splits.split_directory(self.uri, split), name)


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
    resolved = spans.resolve_input(
        parameters["input_base"], input_config, parameters.get("range_config")
    )
    return {
        "span": resolved.span,
        "version": resolved.version,
        "input_fingerprint": fingerprint.fingerprint_files(
            parameters["input_base"], resolved.files
        ),
    }


def describe(
    artifact: Any,
    written: Destination,
    span: int,
    version: int | None,
    input_fingerprint: str,
) -> None:
    """Set on an Examples artifact what TFX's ExampleGens set, once all of it is there.

    Raises:
      DataError: an engine has left out files.
    """
    splits.check_written(written.uri, written.split_names)
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
    fetch: Fetch | None = None,
) -> ResolvedInput:
    """Return the files that span and version were resolved to.

    Those in an object store are fetched to the temporary directory, elsewhere if there is such a
    `fetch`.
    """
    resolved = spans.resolve_input(
        input_base, input_config, range_config, last_span=span, last_version=version
    )
    return fetched(resolved, input_base, temporary_directory, fetch)


def fetched(
    resolved: ResolvedInput, input_base: str, folder: str, fetch: Fetch | None = None
) -> ResolvedInput:
    """Return an input whose files are local: those in an object store are fetched to a folder."""
    if not remote.is_remote(input_base):
        return resolved
    top = os.path.join(folder or tempfile.mkdtemp(), "fetched")
    copies = {
        url: remote.local_name(top, remote.relative(input_base, url)) for url in resolved.files
    }
    fetch_files(copies, fetch)
    return replace(
        resolved,
        splits=tuple(
            replace(split, files=tuple(copies[url] for url in split.files))
            for split in resolved.splits
        ),
    )
