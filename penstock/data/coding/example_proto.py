"""tf.Example and tf.SequenceExample as protobuf messages, without TensorFlow.

The messages have TensorFlow's field numbers, so that their bytes are the same; importing
TensorFlow's own classes would import all of TensorFlow.
"""

from __future__ import annotations

import functools
from typing import Any

from penstock.data.coding.own_messages import message_classes

_PACKAGE = "penstock.example"


@functools.cache
def example_class() -> Any:
    """Return the message class of tf.Example."""
    return _classes()["Example"]


@functools.cache
def sequence_example_class() -> Any:
    """Return the message class of tf.SequenceExample."""
    return _classes()["SequenceExample"]


@functools.cache
def feature_order(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return feature names in the order of protobuf's deterministic serialization.

    It is asked, not assumed: where one name begins with another, its versions disagree.
    """
    message = example_class()()
    for name in names:
        message.features.feature[name].SetInParent()
    data = message.features.SerializeToString(deterministic=True)
    ordered, position = [], 0
    while position < len(data):
        size, position = _read_varint(data, position + 1)
        # In an entry: tag and length of the key, the key, tag and length of an empty feature.
        key_size, start = _read_varint(data, position + 1)
        ordered.append(data[start : start + key_size].decode())
        position += size
    return tuple(ordered)


def _read_varint(data: bytes, position: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = data[position]
        number |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:
            return number, position


@functools.cache
def _classes() -> dict[str, Any]:
    return message_classes(_file(), ("Example", "SequenceExample"))


def _file() -> Any:
    from google.protobuf import descriptor_pb2

    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(
        name="penstock/example.proto", package=_PACKAGE, syntax="proto3"
    )
    for name, kind in (
        ("BytesList", field.TYPE_BYTES),
        ("FloatList", field.TYPE_FLOAT),
        ("Int64List", field.TYPE_INT64),
    ):
        file.message_type.add(name=name).field.add(
            name="value", number=1, type=kind, label=field.LABEL_REPEATED
        )
    feature = file.message_type.add(name="Feature")
    feature.oneof_decl.add(name="kind")
    for number, name in enumerate(("BytesList", "FloatList", "Int64List"), start=1):
        _message_field(feature, name.replace("List", "_list").lower(), number, name)
        feature.field[-1].oneof_index = 0
    _map(file, "Features", "feature", "Feature")
    repeated = file.message_type.add(name="FeatureList")
    _message_field(repeated, "feature", 1, "Feature", repeated=True)
    _map(file, "FeatureLists", "feature_list", "FeatureList")
    _message_field(file.message_type.add(name="Example"), "features", 1, "Features")
    sequence = file.message_type.add(name="SequenceExample")
    _message_field(sequence, "context", 1, "Features")
    _message_field(sequence, "feature_lists", 2, "FeatureLists")
    return file


def _message_field(
    message: Any, name: str, number: int, type_name: str, *, repeated: bool = False
) -> None:
    from google.protobuf.descriptor_pb2 import FieldDescriptorProto as field  # noqa: N813

    message.field.add(
        name=name,
        number=number,
        type=field.TYPE_MESSAGE,
        type_name=f".{_PACKAGE}.{type_name}",
        label=field.LABEL_REPEATED if repeated else field.LABEL_OPTIONAL,
    )


def _map(file: Any, message_name: str, name: str, value: str) -> None:
    from google.protobuf.descriptor_pb2 import FieldDescriptorProto as field  # noqa: N813

    message = file.message_type.add(name=message_name)
    entry_name = "".join(part.capitalize() for part in name.split("_")) + "Entry"
    entry = message.nested_type.add(name=entry_name)
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, type=field.TYPE_STRING, label=field.LABEL_OPTIONAL)
    _message_field(entry, "value", 2, value)
    _message_field(message, name, 1, f"{message_name}.{entry_name}", repeated=True)
