"""TensorBoard's `Event` as a protobuf message, with the fields that a scalar takes.

The messages have TensorBoard's field numbers; other fields of theirs are passed over. Importing
its own classes would take TensorBoard, for a log that may have come from elsewhere.
"""

from __future__ import annotations

import functools
from typing import Any

_PACKAGE = "penstock.event"

# By message: name, number and type of each field; a star is a repeated field, a bar one of several.
_MESSAGES = {
    "Event": (
        ("wall_time", 1, "double"),
        ("step", 2, "int64"),
        ("file_version", 3, "|string"),
        ("summary", 5, "|Summary"),
    ),
    "Summary": (("value", 1, "*Value"),),
    "Value": (("tag", 1, "string"), ("simple_value", 2, "|float"), ("tensor", 8, "|Tensor")),
    "Tensor": (
        ("dtype", 1, "int32"),
        ("tensor_shape", 2, "Shape"),
        ("tensor_content", 4, "bytes"),
        ("float_val", 5, "*float"),
        ("double_val", 6, "*double"),
        ("int_val", 7, "*int32"),
        ("int64_val", 10, "*int64"),
    ),
    "Shape": (("dim", 2, "*Dimension"),),
    "Dimension": (("size", 1, "int64"),),
}


@functools.cache
def event_class() -> Any:
    """Return the message class of an `Event`."""
    from google.protobuf import descriptor_pool, message_factory

    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(_file().SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.Event"))


def _file() -> Any:
    from google.protobuf import descriptor_pb2

    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(
        name="penstock/event.proto", package=_PACKAGE, syntax="proto3"
    )
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for key, number, kind in fields:
            repeated = kind.startswith("*")
            added = message.field.add(
                name=key,
                number=number,
                label=field.LABEL_REPEATED if repeated else field.LABEL_OPTIONAL,
            )
            plain = kind.lstrip("*|")
            if plain in _MESSAGES:
                added.type, added.type_name = field.TYPE_MESSAGE, f".{_PACKAGE}.{plain}"
            else:
                added.type = getattr(field, f"TYPE_{plain.upper()}")
            if kind.startswith("|"):
                if not message.oneof_decl:
                    message.oneof_decl.add(name="value")
                added.oneof_index = 0
    return file
