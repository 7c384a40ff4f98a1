"""A sink that is a file of JSON lines."""

from __future__ import annotations

import json
import os

from penstock.openlineage.destination import append_line
from penstock.operations.alerts.messages import Message
from penstock.operations.alerts.sinks.undelivered import Undelivered
from penstock.project.alerting import FileSink


def send(sink: FileSink, message: Message) -> None:
    """Append a message as a line.

    Raises:
      Undelivered: it cannot be written as a whole; then nothing of it is there.
    """
    try:
        os.makedirs(os.path.dirname(sink.path), exist_ok=True)
        append_line(sink.path, json.dumps(message.to_json(), default=str).encode())
    except OSError as error:
        raise Undelivered(f"{sink.path}: {error.strerror or error}") from None
