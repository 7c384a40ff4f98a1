"""CloudEvents: what an HTTP request says has happened, and keeping it for the triggers it concerns.

Version 1.0 of CloudEvents in its binary, structured and batched HTTP modes
(https://github.com/cloudevents/spec). An event is kept under its source and its id, which tell it
from all others, before it is answered: one that is delivered again changes nothing.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import fnmatch
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

from penstock.errors import ParameterError, suggestion
from penstock.metadata import journal
from penstock.metadata.journal import DONE, TakenError
from penstock.metadata.protocol import Store
from penstock.operations.triggers.sources import events_journal
from penstock.project.config import Config

VERSION = "1.0"
_STRUCTURED = "application/cloudevents+json"
_BATCH = "application/cloudevents-batch+json"
_ATTRIBUTES = ("id", "source", "type")


@dataclass(frozen=True)
class CloudEvent:
    """An event. `data` is JSON, or text; bytes that are neither are there as Base64."""

    id: str
    source: str
    type: str
    subject: str | None = None
    time: str | None = None
    data: Any = None

    @property
    def key(self) -> str:
        """What tells it from all others."""
        return f"{self.source} {self.id}"


def read_events(headers: Mapping[str, str], body: bytes) -> list[CloudEvent]:
    """Return the events of an HTTP request; the names of headers are in small letters.

    Raises:
      ParameterError: there is none, or it lacks what each must have.
    """
    content_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type == _BATCH:
        events = _parsed(body)
        if not isinstance(events, list):
            raise ParameterError(f"expected a list of events as {_BATCH}, got {_kind(events)}")
        return [_structured(event) for event in events]
    if content_type == _STRUCTURED:
        return [_structured(_parsed(body))]
    return [_binary(headers, content_type, body)]


def keep(
    store: Store, triggers: Iterable[str], event: CloudEvent, now: datetime, *, who: str
) -> bool:
    """Write an event for triggers; return whether it is new to any."""
    content = {**vars(event), "received": now.astimezone(UTC).isoformat()}
    is_new = False
    for trigger in triggers:
        with contextlib.suppress(TakenError):
            journal.intend(store, events_journal(trigger), event.key, content, who=who, state=DONE)
            is_new = True
    return is_new


def concerned(config: Config, names: Iterable[str], event: CloudEvent) -> list[str]:
    """Return the triggers, of those, that wait for an event.

    Raises:
      ParameterError: none does.
    """
    waiting = {name: config.triggers[name].when.event for name in names}
    found = [n for n, kind in waiting.items() if kind and fnmatch.fnmatchcase(event.type, kind)]
    if not found:
        kinds = {kind for kind in waiting.values() if kind}
        raise ParameterError(
            f"no trigger waits for events of type {event.type!r}",
            hint=suggestion(event.type, kinds, noun="type") if kinds else None,
        )
    return found


def _binary(headers: Mapping[str, str], content_type: str, body: bytes) -> CloudEvent:
    attributes = {
        name.removeprefix("ce-"): unquote(value)
        for name, value in headers.items()
        if name.startswith("ce-")
    }
    if not attributes:
        raise ParameterError(
            "expected a CloudEvent: headers ce-id, ce-source, ce-type and ce-specversion, or a "
            f"body of {_STRUCTURED}"
        )
    data: Any = None
    if content_type.endswith(("/json", "+json")) and body:
        data = _parsed(body)
    elif body:
        try:
            data = body.decode("utf-8")
        except UnicodeDecodeError:
            data = base64.b64encode(body).decode("ascii")
    return _event(attributes, data)


def _structured(content: Any) -> CloudEvent:
    if not isinstance(content, dict):
        raise ParameterError(f"expected an event as a JSON object, got {_kind(content)}")
    data = content.get("data")
    if "data_base64" in content:
        try:
            encoded = base64.b64decode(str(content["data_base64"]), validate=True)
        except (binascii.Error, ValueError):
            raise ParameterError("expected Base64 in data_base64 of the event") from None
        kind = str(content.get("datacontenttype", "")).partition(";")[0]
        is_json = kind.endswith(("/json", "+json"))
        data = _parsed(encoded) if is_json else content["data_base64"]
    return _event(content, data)


def _event(attributes: Mapping[str, Any], data: Any) -> CloudEvent:
    version = attributes.get("specversion")
    if version != VERSION:
        raise ParameterError(f"expected specversion {VERSION} of the event, got {version!r}")
    for name in _ATTRIBUTES:
        value = attributes.get(name)
        if not isinstance(value, str) or not value:
            raise ParameterError(f"expected a text as {name} of the event, got {value!r}")
    subject, time = attributes.get("subject"), attributes.get("time")
    return CloudEvent(
        attributes["id"],
        attributes["source"],
        attributes["type"],
        None if subject is None else str(subject),
        None if time is None else str(time),
        data,
    )


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ParameterError(f"the event is not JSON: {error}") from None


def _kind(value: Any) -> str:
    return type(value).__name__
