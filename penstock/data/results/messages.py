"""Protobuf messages in files of their own."""

from __future__ import annotations

import os
from typing import TypeVar

from google.protobuf.message import DecodeError, Message

from penstock.errors import DataError

SomeMessage = TypeVar("SomeMessage", bound=Message)


def read_message(path: str, message: SomeMessage, *, noun: str, hint: str) -> SomeMessage:
    """Read a binary message into `message` and return it; `noun` says what it is.

    Raises:
      DataError: the file is missing or is not such a message.
    """
    if not os.path.exists(path):
        raise DataError(f"expected {noun}, but there is no such file", path=path, hint=hint)
    try:
        with open(path, "rb") as file:
            message.ParseFromString(file.read())
    except DecodeError as error:
        name = message.DESCRIPTOR.name
        raise DataError(
            f"expected a binary {name} message, but it does not parse: {error}", path=path
        ) from error
    return message
