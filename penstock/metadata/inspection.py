"""Which rows of a store that are ours cannot be read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from penstock.ir.reading import RUN_CONTEXT
from penstock.metadata import attempts, journal, run_requests, turns
from penstock.metadata.attempts import ATTEMPT_CONTEXT, ENDED_CONTEXT, Attempt
from penstock.metadata.journal import ENTRY_CONTEXT, Entry
from penstock.metadata.protocol import Store
from penstock.metadata.reading import all_contexts
from penstock.metadata.registered import model_of
from penstock.metadata.rows import MalformedRowError, Row, reading
from penstock.metadata.turns import Turn

# How what an entry of a journal says is read, by the beginning of the journal's name.
Readers = Mapping[str, Callable[[Entry], Any]]


def malformed_rows(store: Store, readers: Readers) -> Iterator[MalformedRowError]:
    """Yield what is wrong with each row of ours that cannot be read, in the order of their types.

    `readers` know what the entries of journals are about.
    """
    models: dict[str, list[Entry]] = {}

    def read_entry(context: Any) -> None:
        entry = journal.read(context)
        beginning, _, name = entry.journal.partition("/")
        if beginning == "model":
            models.setdefault(name, []).append(entry)
        elif beginning in readers:
            with reading(journal.row_of(entry)):
                readers[beginning](entry)

    checks: dict[str, Callable[[Any], Any]] = {
        RUN_CONTEXT: run_requests.check,
        ATTEMPT_CONTEXT: lambda context: turns.read(Attempt, context),
        Turn.kind: lambda context: turns.read(Turn, context),
        ENDED_CONTEXT: _read_ended,
        ENTRY_CONTEXT: read_entry,
    }
    for kind, check in checks.items():
        for context in all_contexts(store, kind):
            yield from _problem_of(check, context)
    for name, entries in models.items():
        yield from _problem_of(lambda named: model_of(*named), (name, entries))


def _problem_of(check: Callable[[Any], Any], row: Any) -> Iterator[MalformedRowError]:
    try:
        check(row)
    except MalformedRowError as error:
        yield error


def _read_ended(context: Any) -> None:
    with reading(Row(ENDED_CONTEXT, context.id, context.name)):
        attempts.read_ended(context)
