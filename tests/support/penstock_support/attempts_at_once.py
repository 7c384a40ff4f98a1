"""What a process does that wants to take an attempt at a run as others do; imported by name."""

from __future__ import annotations

from typing import Any

from penstock.errors import RunError
from penstock.metadata import attempts
from penstock.metadata.store import connect, connection_config


def begin_when_told(path: str, ready: Any, go: Any, answers: Any) -> None:
    """Wait for the word, take an attempt, and answer with its number or with the refusal."""
    with connect(connection_config(path)) as metadata:
        ready.release()
        go.wait()
        try:
            answers.put(("begun", attempts.begin(metadata.store, "run").number))
        except RunError as error:
            answers.put(("refused", str(error)))
