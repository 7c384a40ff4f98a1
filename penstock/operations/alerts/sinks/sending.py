"""Sending a message to a sink, whatever kind it is of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import Any

from penstock.errors import ParameterError
from penstock.operations.alerts.messages import Message
from penstock.operations.alerts.sinks import alertmanager, file, mail, slack, webhook
from penstock.operations.alerts.sinks.undelivered import Undelivered
from penstock.project.alerting import Sink
from penstock.safety import secrets

Send = Callable[[Sink, Message], None]

_SENDING: Mapping[str, Callable[[Any, Message], None]] = {
    "file": file.send,
    "webhook": webhook.send,
    "email": mail.send,
    "slack": slack.send,
    "alertmanager": alertmanager.send,
}


def send(sink: Sink, message: Message) -> None:
    """Send a message; secrets of the sink are read now.

    Raises:
      Undelivered: it was not taken, or a variable of a secret is not set.
    """
    try:
        _SENDING[sink.kind](_resolved(sink), message)
    except ParameterError as error:
        raise Undelivered(_redaction(sink).text(str(error))) from None
    except Undelivered as error:
        # What a server says may repeat what it was sent.
        reason = _redaction(sink).text(error.reason)
        raise Undelivered(reason, again=error.again, after=error.after) from None


def _resolved(sink: Sink) -> Sink:
    """Return a sink with the values of the variables that it refers to."""
    written: dict[str, Any] = {each.name: getattr(sink, each.name) for each in fields(sink)}
    resolved: dict[str, Any] = {
        name: secrets.resolve_address(value) if name == "url" else secrets.resolve_in(value)
        for name, value in written.items()
    }
    return replace(sink, **resolved)


def _redaction(sink: Sink) -> secrets.Redaction:
    texts = [text for each in fields(sink) for text in secrets.texts(getattr(sink, each.name))]
    return secrets.redaction_for(*(text.encode() for text in texts))
