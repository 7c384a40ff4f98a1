"""Protobuf messages with the field numbers of others' messages, without the packages of those."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def message_classes(file: Any, names: Iterable[str]) -> dict[str, Any]:
    """Return the classes of messages of a FileDescriptorProto, by their names there."""
    from google.protobuf import descriptor_pool, message_factory

    # A pool of our own: TensorFlow and TensorFlow Serving register theirs in the default one.
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{file.package}.{name}"))
        for name in names
    }


def described_classes(package: str, messages: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Return the classes of messages whose fields are given as `[repeated] TYPE NAME NUMBER`.

    A type is a scalar one or one of the messages; `map` in place of `repeated` is of texts to it.
    """
    from google.protobuf import descriptor_pb2

    file = descriptor_pb2.FileDescriptorProto(
        name=f"{package.replace('.', '/')}.proto", package=package, syntax="proto3"
    )
    for name, fields in messages.items():
        message = file.message_type.add(name=name)
        for text in fields:
            _add_field(message, package, messages, *text.split())
    return message_classes(file, messages)


def _add_field(message: Any, package: str, messages: Iterable[str], *words: str) -> None:
    from google.protobuf.descriptor_pb2 import FieldDescriptorProto as field  # noqa: N813

    *manner, type_name, name, number = words
    kind: dict[str, Any] = {"type": field.TYPE_MESSAGE, "type_name": f".{package}.{type_name}"}
    if type_name not in messages:
        kind = {"type": getattr(field, f"TYPE_{type_name.upper()}")}
    label = field.LABEL_REPEATED if manner else field.LABEL_OPTIONAL
    if manner == ["map"]:
        entry_name = f"{name.capitalize()}Entry"
        entry = message.nested_type.add(name=entry_name)
        entry.options.map_entry = True
        entry.field.add(name="key", number=1, type=field.TYPE_STRING, label=field.LABEL_OPTIONAL)
        entry.field.add(name="value", number=2, label=field.LABEL_OPTIONAL, **kind)
        kind = {
            "type": field.TYPE_MESSAGE,
            "type_name": f".{package}.{message.name}.{entry_name}",
        }
    message.field.add(name=name, number=int(number), label=label, **kind)
