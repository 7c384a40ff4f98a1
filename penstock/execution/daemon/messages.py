"""What a daemon and who asks it say to each other: JSON with its length before it."""

from __future__ import annotations

import json
import os
import socket
import struct
from collections.abc import Mapping, Sequence
from typing import Any

_LENGTH = struct.Struct("!I")
_LONGEST = 16 << 20  # an environment may be large
_MOST_DESCRIPTORS = 16


def send(connection: socket.socket, message: Mapping[str, Any], files: Sequence[int] = ()) -> None:
    """Send a message, and open files with it."""
    content = json.dumps(message).encode()
    head = _LENGTH.pack(len(content))
    if files:
        socket.send_fds(connection, [head], files)
    else:
        connection.sendall(head)
    connection.sendall(content)


def receive(connection: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """Return the next message, and the open files that came with it.

    Raises:
      OSError: it does not come, not in time, or is none.
    """
    head, files, _, _ = socket.recv_fds(connection, _LENGTH.size, _MOST_DESCRIPTORS)
    try:
        head += _exactly(connection, _LENGTH.size - len(head))
        (length,) = _LENGTH.unpack(head)
        if length > _LONGEST:
            raise OSError(f"expected a message of at most {_LONGEST} bytes, got one of {length}")
        message = json.loads(_exactly(connection, length))
        if not isinstance(message, dict):
            raise OSError("expected a message with keys")
    except ValueError as error:
        close(files)
        raise OSError(f"expected JSON: {error}") from error
    except BaseException:
        close(files)
        raise
    return message, files


def close(files: Sequence[int]) -> None:
    """Close open files."""
    for file in files:
        os.close(file)


def _exactly(connection: socket.socket, size: int) -> bytes:
    content = bytearray()
    while len(content) < size:
        piece = connection.recv(min(size - len(content), 1 << 16))
        if not piece:
            raise OSError("the other end has hung up")
        content += piece
    return bytes(content)
