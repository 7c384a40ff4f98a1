"""The input of an ExampleGen of TFX's: files, spans and fingerprint, as TFX's driver has them."""

from __future__ import annotations

import copy
import glob
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from penstock import _tfx
from penstock.authoring.standing_in import NotAccelerated, TfxNode, read_parameters
from penstock.data import ingestion, spans, splits
from penstock.data.files import remote, tfx_files
from penstock.data.payload import PayloadFormat
from penstock.data.spans import RangeConfig, ResolvedInput, ResolvedSplit
from penstock.data.splits import InputConfig, OutputConfig
from penstock.errors import DataError, PenstockError

TFX_DRIVER = "tfx.components.example_gen.driver.FileBasedDriver"
DRIVERS = {TFX_DRIVER: f"{__name__}.Driver"}

# In patterns: what TensorFlow's files and Python take for different things.
_READ_DIFFERENTLY = re.compile(r"\*\*|[\[\]{}\\]")
_TFRECORDS_GZIP = 5
_SPEC = re.compile(r"\{(SPAN|VERSION)(?::([^}]*))?\}|\{(YYYY|MM|DD)\}")


@dataclass(frozen=True)
class ExampleGenParameters:
    """What may be set of TFX's FileBasedExampleGen."""

    input_base: str
    input_config: InputConfig
    output_config: OutputConfig
    output_data_format: PayloadFormat = PayloadFormat.FORMAT_TF_EXAMPLE
    output_file_format: int = 0
    custom_config: None = None
    range_config: RangeConfig | None = None
    span: int = 0
    version: int | None = None
    input_fingerprint: str = ""


def obstacle(_: TfxNode, parameters: ExampleGenParameters) -> str:
    """Return what only TFX's own ExampleGens do."""
    if remote.is_remote(parameters.input_base):
        return "input_base is in an object store"
    if parameters.output_file_format not in (0, _TFRECORDS_GZIP):
        return f"output_file_format is {parameters.output_file_format}"
    return ""


def files_of(parameters: ExampleGenParameters) -> ResolvedInput:
    """Return the files to read; the driver has put span and version into the patterns.

    Raises:
      NotAccelerated: there are files of which ours and TFX's notions differ.
    """
    base = parameters.input_base
    return ResolvedInput(
        parameters.span,
        parameters.version,
        tuple(
            ResolvedSplit(split.name, split.pattern, tuple(matched_files(base, split.pattern)))
            for split in parameters.input_config.splits
        ),
    )


def matched_files(base: str, pattern: str) -> list[str]:
    """Return the files that a pattern means to TFX, sorted.

    Raises:
      NotAccelerated: it matches what is read by some of TFX's readers alone.
      DataError: it matches nothing.
    """
    whole = os.path.join(base, pattern)
    if found := _READ_DIFFERENTLY.search(whole):
        raise NotAccelerated(f"{found.group()!r} is in the pattern {pattern!r}")
    files = sorted(glob.glob(whole, include_hidden=True))
    odd = [file for file in files if os.path.basename(file).startswith(".") or os.path.isdir(file)]
    if odd:
        raise NotAccelerated(f"the pattern {pattern!r} matches {os.path.basename(odd[0])}")
    if not files:
        raise DataError(f"the pattern {pattern!r} matches no file", path=base)
    return files


def destination(node: TfxNode, parameters: ExampleGenParameters) -> ingestion.Destination:
    """Return where TFX puts the records: an output without splits has those of the input."""
    config = parameters.output_config.split_config
    to = ingestion.Destination(
        node.output("examples").uri,
        tuple(splits.output_split_names(parameters.input_config, parameters.output_config)),
        tuple(splits.cumulated_buckets(config)),
        config.partition_feature_name,
        parameters.output_data_format,
    )
    kept = node.context.kept_directory
    return to.keeping(kept, parameters.input_fingerprint, TFX_DRIVER, parameters)


def describe(examples: Any, parameters: ExampleGenParameters, split_names: Sequence[str]) -> None:
    """Set what TFX's executor sets; span, version and fingerprint are there from its driver."""
    examples.split_names = splits.encode_split_names(split_names)
    payload_format = parameters.output_data_format
    examples.set_string_custom_property("payload_format", payload_format.name)
    if parameters.output_file_format:
        examples.set_string_custom_property("file_format", "tfrecords_gzip")


class Driver(_tfx.AuthoringDriver, _tfx.BaseDriver):
    """Finds span, version and fingerprint of an ExampleGen's input, as TFX's driver does.

    What it refuses TFX's own driver is asked.
    """

    only_resolves = True

    def __init__(self, metadata_handle: Any) -> None:
        self._metadata = metadata_handle

    def run(self, execution_info: Any) -> Any:
        """Return the parameters, and the examples with what they say of the input."""
        given = dict(execution_info.exec_properties)
        refusal: PenstockError
        try:
            resolved = _resolved(given)
        except PenstockError as error:
            refusal = error
        else:
            return _output(execution_info, {**given, **resolved})
        tfx_files.register()
        try:
            return _tfx.import_class_by_path(TFX_DRIVER)(self._metadata).run(execution_info)
        except Exception as error:
            if isinstance(refusal, NotAccelerated):
                raise
            raise refusal from error  # it says what to do, which TFX's does not


def _resolved(recorded: dict[str, Any]) -> dict[str, Any]:
    """Return what TFX's driver computes.

    Raises:
      PenstockError: it cannot be computed here.
    """
    parameters = read_parameters(recorded, ExampleGenParameters)
    if remote.is_remote(parameters.input_base):
        raise NotAccelerated("input_base is in an object store")
    span, version = _span_and_version(parameters)
    prints = []
    patterns = []
    for split in parameters.input_config.splits:
        pattern = _filled(split.pattern, span, version)
        files = matched_files(parameters.input_base, pattern)
        prints.append(_fingerprint(split.name, files))
        patterns.append({"name": split.name, "pattern": pattern})
    return {
        "input_config": _as_message({"splits": patterns}),
        "span": span,
        "version": version,
        "input_fingerprint": "\n".join(prints),
    }


def _span_and_version(parameters: ExampleGenParameters) -> tuple[int, int | None]:
    chosen = parameters.range_config
    config = parameters.input_config
    if spans.specs(config.splits[0])[0] is None and chosen is None:
        return 0, None
    static, rolling = (chosen.static_range, chosen.rolling_range) if chosen else (None, None)
    is_one = static is None or static.start_span_number == static.end_span_number
    if not is_one or (rolling and (rolling.num_spans != 1 or rolling.start_span_number)):
        raise NotAccelerated("range_config is of several spans")
    resolved = spans.resolve_input(parameters.input_base, config, chosen)
    return resolved.span, resolved.version


def _filled(pattern: str, span: int, version: int | None) -> str:
    date = spans.span_to_date(span)
    values = {"SPAN": span, "VERSION": version, "YYYY": date.year, "MM": date.month, "DD": date.day}
    widths = {"YYYY": 4, "MM": 2, "DD": 2}

    def text(spec: re.Match[str]) -> str:
        name = spec.group(1) or spec.group(3)
        return str(values[name]).zfill(int(spec.group(2) or widths.get(name, 0)))

    return _SPEC.sub(text, pattern)


def _fingerprint(split: str, files: Sequence[str]) -> str:
    """Describe files as TFX does: how many, how large, and when they were written, in seconds."""
    found = [os.stat(file) for file in files]
    times = [int(status.st_mtime_ns / 1_000_000_000) for status in found]
    mixed = 0
    for time in times:
        mixed ^= time
    size = sum(status.st_size for status in found)
    return (
        f"split:{split},num_files:{len(files)},total_bytes:{size},"
        f"xor_checksum:{mixed},sum_checksum:{sum(times)}"
    )


def _as_message(config: dict[str, Any]) -> str:
    """Return a configuration as TFX writes messages: JSON, with keys in order and indented."""
    from google.protobuf import json_format, struct_pb2

    message = json_format.ParseDict(config, struct_pb2.Struct())
    return json_format.MessageToJson(message, sort_keys=True, preserving_proto_field_name=True)


def _output(info: Any, parameters: dict[str, Any]) -> Any:
    output = _tfx.driver_output_pb2.DriverOutput()
    for name, value in parameters.items():
        if value is not None:
            _tfx.data_types_utils.set_metadata_value(output.exec_properties[name], value)
    [artifact] = info.output_dict["examples"]
    examples = copy.deepcopy(artifact.mlmd_artifact)
    properties = examples.custom_properties
    properties["input_fingerprint"].string_value = parameters["input_fingerprint"]
    properties["span"].int_value = parameters["span"]
    if parameters["version"] is not None:
        properties["version"].int_value = parameters["version"]
    output.output_artifacts["examples"].artifacts.append(examples)
    return output
