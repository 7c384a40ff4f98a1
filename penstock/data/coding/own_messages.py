"""Protobuf messages with the field numbers of others' messages, without the packages of those."""

from __future__ import annotations

from collections.abc import Iterable
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
