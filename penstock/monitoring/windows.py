"""The window of time that examples of a prediction log are of."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from penstock.errors import DataError
from penstock.monitoring.measures import Window
from penstock.serving.log.policy import SPANS

# Custom properties of Examples of a log: its folder; and as JSON the window, and rows by version.
LOG = "log"
WINDOW = "window"
ANSWERED_BY = "versions"


def window_of(examples: Any) -> Window:
    """Return the window that examples of a log are of.

    Raises:
      DataError: they are not of a log.
    """
    text = examples.get_string_custom_property(WINDOW)
    if not text:
        raise DataError(
            "the examples do not say which window of time they are of",
            path=examples.uri,
            hint="Monitors take the examples of a ServingLogGen.",
        )
    return Window.from_json(json.loads(text))


def window_of_spans(first: int, last: int, span: str) -> Window:
    """Return the window from the first to the last span of a log, both included."""
    length = SPANS[span]
    begin, end = (datetime.fromtimestamp(n * length, UTC) for n in (first, last + 1))
    return Window(begin, end, first, last)
