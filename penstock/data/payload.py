"""How examples are stored: payload and file formats, by TFX's names and numbers."""

from __future__ import annotations

import enum
from typing import Any

from penstock.data.coding import example_proto
from penstock.errors import DataError, ParameterError

PAYLOAD_FORMAT_PROPERTY = "payload_format"
FILE_FORMAT_PROPERTY = "file_format"


class PayloadFormat(enum.IntEnum):
    """What a record is; the members are those of TFX's `example_gen_pb2.PayloadFormat`."""

    FORMAT_TF_EXAMPLE = 6
    FORMAT_TF_SEQUENCE_EXAMPLE = 7
    FORMAT_PROTO = 11
    FORMAT_PARQUET = 15

    @property
    def file_format(self) -> str:
        """The `file_format` of files that hold such records."""
        return "parquet" if self is PayloadFormat.FORMAT_PARQUET else "tfrecords_gzip"


def payload_format(artifact: Any) -> PayloadFormat:
    """Return the payload format of an Examples artifact; tf.Example where it does not say."""
    name = artifact.get_string_custom_property(PAYLOAD_FORMAT_PROPERTY)
    return PayloadFormat[name] if name else PayloadFormat.FORMAT_TF_EXAMPLE


def canonical_and_key(
    record: bytes, payload: PayloadFormat, feature_name: str | None
) -> tuple[bytes, bytes]:
    """Return a record's deterministic bytes, and what TFX hashes of it: these, or one feature.

    A record of FORMAT_PROTO stays as it is.

    Raises:
      ParameterError: `feature_name` is given, and the payload has no features.
      DataError: the record is not of the format, has no such feature, or the feature holds neither
        bytes nor integers.
    """
    if payload is PayloadFormat.FORMAT_PROTO:
        if feature_name:
            raise ParameterError(
                f"partition_feature_name {feature_name!r} needs records with features, not "
                f"{payload.name}"
            )
        return record, record
    is_sequence = payload is PayloadFormat.FORMAT_TF_SEQUENCE_EXAMPLE
    message_class = (
        example_proto.sequence_example_class() if is_sequence else example_proto.example_class()
    )
    try:
        message = message_class.FromString(record)
    except Exception as error:  # protobuf's implementations raise different DecodeErrors
        raise DataError(
            f"cannot be read as {payload.name}: {error}",
            hint="output_data_format says what the records are.",
        ) from error
    canonical = bytes(message.SerializeToString(deterministic=True))
    if not feature_name:
        return canonical, canonical
    features = (message.context if is_sequence else message.features).feature
    if feature_name not in features:
        raise no_partition_feature(feature_name)
    feature = features[feature_name]
    check_partition_kind(feature_name, feature.WhichOneof("kind"))
    return canonical, bytes(feature.SerializeToString(deterministic=True))


def no_partition_feature(name: str) -> DataError:
    """Return the error for records without the feature that they are to be split by."""
    return DataError(
        f"a record has no feature {name!r}, by which it should be split",
        column=name,
        hint="Correct partition_feature_name, or the data.",
    )


def check_partition_kind(name: str, kind: str | None) -> None:
    """Raise DataError if a feature of this kind cannot decide on a split."""
    if kind in ("bytes_list", "int64_list"):
        return
    actual = "no value" if kind is None else f"a {kind}"
    raise DataError(
        f"expected bytes or integers in {name!r}, by which records are split, found {actual}",
        column=name,
        hint="Choose another partition_feature_name.",
    )
