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
    with open(path, "rb") as file:
        return parsed(file.read(), message, path=path, noun=noun)


def parsed(data: bytes, message: SomeMessage, *, path: str, noun: str) -> SomeMessage:
    """Parse a binary message into `message` and return it; `noun` says what in a file it is.

    Raises:
      DataError: it is not such a message.
    """
    try:
        message.ParseFromString(data)
    except DecodeError as error:
        raise DataError(
            f"{noun} should be a binary {message.DESCRIPTOR.name}, and does not parse: {error}",
            path=path,
            hint="Write or copy the file again.",
        ) from error
    return message
