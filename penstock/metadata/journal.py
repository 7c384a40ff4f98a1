"""A journal in the store: what is going to be done is recorded, then done, then confirmed.

An entry is a context of type `journal_entry` named `{journal}/{key}`. The store makes sure that a
name is taken once. That gives two kinds of journals:

- Entries with keys of their own (`intend`): of ten who want to do one thing under one key, one
  does it.
- Entries that are numbered from 1 on (`append`): whoever writes the next one says after which, so
  that it is a compare-and-swap. The last entry is how things stand, all of them are its history.

An entry begins as intended, or at once as what it is for ever. Whoever comes after a crash finds
what is still intended (`unfinished`), and finishes or undoes it. What is done under an entry is
given its `token`, so that doing it twice is doing it once.

The texts of an entry are kept in portions, since an index of PostgreSQL takes 2,704 bytes.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, TypeVar

from penstock import _tfx
from penstock.errors import StoreError
from penstock.metadata.protocol import Store
from penstock.metadata.rows import Row, json_of, readable, reading, text_of, time_of
from penstock.metadata.turns import context_type_id, last_of

ENTRY_CONTEXT = "journal_entry"
# The beginning of the names of journals of when something was first asked.
SINCE = "since"

V = TypeVar("V")

INTENDED = "intended"
DONE = "done"
FAILED = "failed"
REFUSED = "refused"
UNDONE = "undone"

# Names are compared without regard to case by some databases, and have an end there.
_PLAIN = re.compile(r"[a-z0-9._:=@+-]{1,80}")
_PORTION = 2000


@dataclass(frozen=True)
class Entry:
    """What was decided, who did so, and what came of it.

    `intent` and `outcome` are JSON. `recorded` is when it was decided, `changed` when something
    was last written to it.
    """

    journal: str
    key: str
    state: str
    who: str
    intent: Mapping[str, Any] = field(default_factory=dict)
    outcome: Mapping[str, Any] = field(default_factory=dict)
    recorded: datetime = datetime.min
    changed: datetime = datetime.min
    entry_id: int = 0

    @property
    def number(self) -> int:
        """Its number, in a journal of numbered entries."""
        return int(self.key)

    @property
    def token(self) -> str:
        """What others are given so that they do once what is asked of them twice."""
        name = f"{self.journal}/{self.key}"
        return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:24]

    def run_id(self, part: str = "") -> str:
        """Return the name of a run that is started under the entry, or of a part of what is done.

        It is as the names of other runs are: the time, in UTC, so that names sort, and a digest.
        """
        token = hashlib.sha256(f"{self.token}/{part}".encode()).hexdigest() if part else self.token
        return f"{self.recorded.astimezone(UTC):%Y%m%d-%H%M%S}-{token[:12]}"


class TakenError(StoreError):
    """Somebody wrote the entry first that was to be written; `entry` is theirs."""

    def __init__(self, message: str, entry: Entry) -> None:
        super().__init__(message)
        self.entry = entry


def intend(
    store: Store,
    journal: str,
    key: str,
    intent: Mapping[str, Any],
    *,
    who: str,
    state: str = INTENDED,
) -> Entry:
    """Write what is going to be done, under a key that nobody has written yet.

    Raises:
      TakenError: there is an entry of that key.
    """
    context = _tfx.metadata_store_pb2.Context(name=_name(journal, key))
    context.type_id = context_type_id(store, ENTRY_CONTEXT)
    # As JSON, since not all characters of a text are kept by all databases.
    names = {"journal": json.dumps(journal), "key": json.dumps(key), "who": json.dumps(who)}
    _write(context, {**names, "state": state, "intent": _text(intent), "outcome": _text({})})
    # So that two who write the same are not taken for one who does not know if it has written.
    context.custom_properties["writer"].string_value = secrets.token_hex(16)
    try:
        [context_id] = store.put_contexts([context])
    except _tfx.ml_metadata.errors.AlreadyExistsError:
        taken = find(store, journal, key)
        if taken is None:
            raise
        raise TakenError(f"{taken.who} was first to write {journal}/{key}", taken) from None
    [written] = store.get_contexts_by_id([context_id])
    return read(written)


def note_once(
    store: Store, journal: str, key: str, intent: Mapping[str, Any], *, who: str
) -> Entry:
    """Return the entry of a key, as whoever was first has written it; now, if nobody has."""
    entry = find(store, journal, key)
    if entry is not None:
        return entry
    try:
        return intend(store, journal, key, intent, who=who, state=DONE)
    except TakenError as error:
        return error.entry


def since(
    store: Store, key: str, now: datetime, *, who: str, about: str, **content: Any
) -> datetime:
    """Return since when something counts: since this was first asked, which is noted once.

    Raises:
      MalformedRowError: what was noted cannot be read.
    """
    content["since"] = now.isoformat()
    return understood(note_once(store, f"{SINCE}/{about}", key, content, who=who), since_of)


def since_of(entry: Entry) -> datetime:
    """Return the time that an entry says."""
    return datetime.fromisoformat(entry.intent["since"])


def append(
    store: Store,
    journal: str,
    intent: Mapping[str, Any],
    *,
    after: Entry | None,
    who: str,
    state: str = DONE,
) -> Entry:
    """Write the next entry of a numbered journal, after the one that was last when it was decided.

    Raises:
      TakenError: somebody else wrote an entry after that one.
    """
    number = after.number + 1 if after is not None else 1
    return intend(store, journal, str(number), intent, who=who, state=state)


def conclude(store: Store, entry: Entry, state: str, outcome: Mapping[str, Any]) -> Entry:
    """Write what came of an entry."""
    context = store.get_context_by_type_and_name(ENTRY_CONTEXT, _name(entry.journal, entry.key))
    if context is None:
        raise StoreError(f"the store has no entry {entry.journal}/{entry.key}")
    _write(context, {"state": state, "outcome": _text(outcome)})
    store.put_contexts([context])
    return replace(entry, state=state, outcome=outcome)


def find(store: Store, journal: str, key: str) -> Entry | None:
    """Return the entry of a key, or None."""
    context = store.get_context_by_type_and_name(ENTRY_CONTEXT, _name(journal, key))
    return None if context is None else read(context)


def last(store: Store, journal: str) -> Entry | None:
    """Return the last entry of a numbered journal, without reading the others.

    Raises:
      MalformedRowError: it cannot be read, and what comes after it depends on it.
    """
    context = last_of(
        lambda number: store.get_context_by_type_and_name(
            ENTRY_CONTEXT, _name(journal, str(number))
        )
    )
    return None if context is None else read(context)


def entries(
    store: Store,
    journal: str,
    changed_since: datetime | None = None,
    *,
    first_key: str | None = None,
) -> list[Entry]:
    """Return all entries of a journal that can be read, in the order in which they were written.

    With `changed_since`, those that were written to since then, by the clocks of those who wrote.
    With `first_key`, those whose key is not before it; keys are of digits and small letters then.
    """
    query = f"name LIKE '{_name(journal, '')}%'"
    if first_key is not None:
        query += f" AND name >= '{_name(journal, first_key)}'"
    if changed_since is not None:
        query += f" AND last_update_time_since_epoch >= {int(changed_since.timestamp() * 1000)}"
    found = _listed(store, query)
    return [entry for entry in found if entry.journal == journal]


def entries_below(store: Store, prefix: str, *, strict: bool = False) -> list[Entry]:
    """Return the entries of all journals whose names begin with a prefix and a slash.

    Raises:
      MalformedRowError: with `strict`, one of them cannot be read.
    """
    found = _listed(store, f"name LIKE '{_name(prefix, '')}%'", strict=strict)
    return [entry for entry in found if entry.journal.startswith(f"{prefix}/")]


def told(entries: Iterable[Entry], read: Callable[[Entry], V]) -> list[V]:
    """Return what entries say to who knows what they are about; warn of those that say nothing."""
    return list(readable(entries, lambda entry: understood(entry, read)))


def understood(entry: Entry, read: Callable[[Entry], V]) -> V:
    """Return what an entry says that nobody may go on without.

    Raises:
      MalformedRowError: it says nothing.
    """
    with reading(row_of(entry)):
        return read(entry)


def numbered(entries: Iterable[Entry]) -> list[Entry]:
    """Return the entries of a numbered journal by their numbers."""
    with_numbers = told(entries, lambda entry: (entry.number, entry))
    return [entry for _, entry in sorted(with_numbers, key=lambda pair: pair[0])]


def row_of(entry: Entry) -> Row:
    """Return which row of the store an entry is."""
    return Row(ENTRY_CONTEXT, entry.entry_id, f"{entry.journal}/{entry.key}")


def unfinished(entries: Iterable[Entry]) -> list[Entry]:
    """Return those of which it is not known what came of them."""
    return [entry for entry in entries if entry.state == INTENDED]


def _listed(store: Store, predicate: str, *, strict: bool = False) -> list[Entry]:
    options = _tfx.ml_metadata.ListOptions(
        filter_query=f"type = '{ENTRY_CONTEXT}' AND {predicate}",
        order_by=_tfx.ml_metadata.OrderByField.ID,
        is_asc=True,
    )
    contexts = store.get_contexts(options)
    return [read(context) for context in contexts] if strict else list(readable(contexts, read))


def _name(journal: str, key: str) -> str:
    parts = [*journal.split("/"), *([key] if key else [])]
    return "/".join(map(_plain, parts)) + ("" if key else "/")


def _plain(part: str) -> str:
    """Return a text as it can be part of a name; what other texts become is unlike it."""
    if _PLAIN.fullmatch(part):
        return part
    return "~" + hashlib.sha256(part.encode("utf-8", "surrogatepass")).hexdigest()[:40]


def _text(content: Mapping[str, Any]) -> str:
    return json.dumps(content, sort_keys=True, allow_nan=True)


def _write(context: _tfx.ContextProto, properties: Mapping[str, str]) -> None:
    for name, text in properties.items():
        portions = [text[at : at + _PORTION] for at in range(0, len(text), _PORTION)] or [""]
        context.custom_properties[name].string_value = portions[0]
        for number, portion in enumerate(portions[1:], 1):
            context.custom_properties[f"{name}:{number}"].string_value = portion
        number = len(portions)
        while f"{name}:{number}" in context.custom_properties:
            context.custom_properties[f"{name}:{number}"].string_value = ""
            number += 1


def read(context: _tfx.ContextProto) -> Entry:
    """Return an entry from the context that the store has of it.

    Raises:
      MalformedRowError: the context is none of an entry.
    """
    with reading(Row(ENTRY_CONTEXT, context.id, context.name)):
        return Entry(
            journal=json_of(_whole(context, "journal"), str, "journal"),
            key=json_of(_whole(context, "key"), str, "key"),
            state=text_of(context, "state"),
            who=json_of(_whole(context, "who"), str, "who"),
            intent=json_of(_whole(context, "intent"), dict, "intent"),
            outcome=json_of(_whole(context, "outcome"), dict, "outcome"),
            recorded=time_of(context.create_time_since_epoch),
            changed=time_of(context.last_update_time_since_epoch),
            entry_id=context.id,
        )


def _whole(context: _tfx.ContextProto, name: str) -> str:
    """Return a text from its portions."""
    portions, number = [text_of(context, name)], 1
    while f"{name}:{number}" in context.custom_properties:
        portions.append(text_of(context, f"{name}:{number}"))
        number += 1
    return "".join(portions)
