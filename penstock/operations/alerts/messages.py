"""Messages to sinks: what they tell, as JSON, and as text that people read.

What comes from data is bounded, and has neither line breaks nor control characters where it is a
part of a line.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from penstock.metadata.alerts import Raised
from penstock.operations.alerts.telling import AGAIN, MORE, RAISED, RESOLVED, Change
from penstock.project.alerting import SEVERITIES

FORMAT = 1

_MOST_SUBJECTS = 50
_MOST_MEASURES = 10
_MOST_TEXT = 500
_MOST_DATA_BYTES = 16_000
_MOST_TITLE = 150
_WORDS = {RAISED: "raised", MORE: "more subjects", AGAIN: "still open", RESOLVED: "over"}


@dataclass(frozen=True)
class Message:
    """What a sink is told at once; the same id is the same message, sent once more."""

    message_id: str
    sink: str
    changes: tuple[Change, ...]

    @property
    def severity(self) -> str:
        """The severity of the most severe alert that is not over, or else of all."""
        still_open = [c for c in self.changes if c.raised.is_open] or self.changes
        severities = [change.raised.alert.severity for change in still_open]
        return max(severities, key=lambda s: SEVERITIES.index(s) if s in SEVERITIES else -1)

    @property
    def is_over(self) -> bool:
        """Whether all that it is about is over."""
        return not any(change.raised.is_open for change in self.changes)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "format": FORMAT,
            "id": self.message_id,
            "sink": self.sink,
            "alerts": [_change_as_json(change) for change in self.changes],
        }


def title(message: Message) -> str:
    """Return a message in a line."""
    alerts = {(c.raised.alert.name, c.raised.alert.key): c for c in message.changes}
    if len(alerts) == 1:
        change = message.changes[-1]
        alert = change.raised.alert
        word = "over" if message.is_over else alert.severity
        return one_line(f"[{word}] {alert.name}: {alert.summary}", _MOST_TITLE)
    still_open = sum(change.raised.is_open for change in alerts.values())
    over = len(alerts) - still_open
    counts = ([f"{still_open} open"] if still_open else []) + ([f"{over} over"] if over else [])
    names = ", ".join(dict.fromkeys(name for name, _ in alerts))
    word = "over" if message.is_over else message.severity
    return one_line(f"[{word}] {len(alerts)} alerts ({', '.join(counts)}): {names}", _MOST_TITLE)


def heading(change: Change) -> str:
    """Return what has happened, in a line."""
    alert = change.raised.alert
    return one_line(f"{alert.name} {alert.key}: {_WORDS[change.kind]} ({alert.severity})")


def lines(change: Change) -> Iterator[str]:
    """Yield what is told of an alert, a line each."""
    raised = change.raised
    alert = raised.alert
    yield one_line(alert.summary)
    subjects, more = _subjects(change)
    if subjects:
        yield one_line(f"about: {', '.join(subjects)}" + (f" and {more} more" if more else ""))
    measures = alert.data.get("measures") if change.addition is None else change.addition.measures
    yield from measures_as_text(measures)
    yield f"raised: {_time(alert.at)} by {one_line(raised.who, 100)}"
    if raised.end is not None:
        why = f" ({raised.end.why})" if raised.end.why else ""
        yield one_line(f"over: {_time(raised.end.at)} by {raised.end.who}{why}")
    if who := alert.data.get("who"):
        yield one_line(f"responsible: {who}")
    yield one_line(f"see: penstock alert show {alert.name} {alert.key}")


def one_line(text: str, most: int = _MOST_TEXT) -> str:
    """Return a text that is a part of a line: bounded, and without what moves a cursor."""
    shown = "".join(c if c.isprintable() else " " for c in str(text)[: 4 * most])
    shown = " ".join(shown.encode("utf-8", "replace").decode().split())
    return shown if len(shown) <= most else f"{shown[: most - 1]}…"


def bounded(data: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return what of some data can be sent, and the names of what is too large."""
    kept: dict[str, Any] = {}
    left_out, room = [], _MOST_DATA_BYTES
    for name, value in data.items():
        text = json.dumps(value, default=str)
        if len(text) > room:
            left_out.append(one_line(name, 100))
        else:
            # What is no number is none of JSON's either.
            kept[name] = json.loads(text, parse_constant=lambda _: None)
            room -= len(text)
    return kept, left_out


def _change_as_json(change: Change) -> dict[str, Any]:
    raised = change.raised
    alert = raised.alert
    data, left_out = bounded(alert.data)
    subjects, more = _bounded_texts(raised.subjects)
    told: dict[str, Any] = {
        "change": change.kind,
        "state": "open" if raised.is_open else "over",
        "name": alert.name,
        "key": alert.key,
        "severity": alert.severity,
        "summary": str(alert.summary)[:_MOST_TEXT],
        "at": alert.at.isoformat(),
        "who": raised.who,
        "subjects": subjects,
        "more_subjects": more,
        "data": data,
    }
    if left_out:
        told["left_out"] = left_out
    if change.addition is not None:
        told["added"], told["more_added"] = _bounded_texts(change.addition.subjects)
    if raised.end is not None:
        end = raised.end
        told["end"] = {"at": end.at.isoformat(), "who": end.who, "why": end.why[:_MOST_TEXT]}
    return told


def _subjects(change: Change) -> tuple[list[str], int]:
    """Return what is told to be about, and of how many more that is not said."""
    addition = change.addition
    return _bounded_texts(change.raised.subjects if addition is None else addition.subjects)


def _bounded_texts(texts: Sequence[str]) -> tuple[list[str], int]:
    shown = [text[:_MOST_TEXT] for text in texts[:_MOST_SUBJECTS]]
    return shown, len(texts) - len(shown)


def measures_as_text(measures: Any) -> list[str]:
    """Return measures as lines, the first of them; others may have written them, or none."""
    listed = measures if isinstance(measures, (list, tuple)) else ()
    told = [measure for measure in listed if isinstance(measure, Mapping)]
    texts = [one_line(_measure_as_text(measure)) for measure in told[:_MOST_MEASURES]]
    more = len(told) - len(texts)
    return [*texts, f"and {more} more"] if more else texts


def _measure_as_text(measure: Mapping[str, Any]) -> str:
    value, threshold = measure.get("value"), measure.get("threshold")
    subject = f"{measure.get('subject', '')} {measure.get('name', '')}".strip()
    number = f"{value:.4g}" if isinstance(value, (int, float)) else "unknown"
    limit = f", limit {threshold:.4g}" if isinstance(threshold, (int, float)) else ""
    return f"{subject}: {measure.get('why') or number + limit}"


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"


def is_about(message: Message) -> tuple[Raised, ...]:
    """Return the alerts of a message, each once, as they stand."""
    return tuple(
        {(c.raised.alert.name, c.raised.alert.key): c.raised for c in message.changes}.values()
    )
