"""Changing the registry: each change is decided on what was read, and written after just that.

Where another change came between, it is read and all is decided anew, until the change is written
or refused. What concerns another version or alias is no obstacle.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from penstock.errors import RegistryError
from penstock.metadata import journal, registered
from penstock.metadata.journal import Entry, TakenError
from penstock.metadata.protocol import Store
from penstock.metadata.registered import (
    CHAMPION,
    AliasMove,
    RegisteredModel,
    Version,
    journal_of,
    model_of,
    read_model,
)
from penstock.project.model_names import check_alias, check_model_name
from penstock.registry import facts, integrity

Decide = Callable[[RegisteredModel], Mapping[str, Any] | None]


class _Unseen:
    def __repr__(self) -> str:
        return "UNSEEN"


# That nobody has looked at what an alias stands for: it is looked at when the move begins.
UNSEEN: Final = _Unseen()


class AliasMovedError(RegistryError):
    """Somebody else has moved an alias; `move` is theirs."""

    def __init__(self, message: str, move: AliasMove | None, *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.move = move


def register(
    store: Store,
    model: str,
    artifact_id: int,
    *,
    who: str,
    description: str = "",
    judgements: Mapping[str, int] | None = None,
) -> Version:
    """Register a Model artifact as the next version of a model, with all that is known of it.

    What is registered already is the version that it is: asking twice registers once. `judgements`
    are the ids of the evaluation and the blessings that count, by type; by default the newest ones
    that are about this model.

    Raises:
      RegistryError: the name cannot be used, the artifact is no model, or its files are not what
        its run made.
    """
    check_model_name(model)
    described = facts.describe(store, artifact_id, judgements or {})
    if description:
        described["facts"]["description"] = description
    registered.declare(store, model)

    def decide(standing: RegisteredModel) -> Mapping[str, Any] | None:
        if any(version.artifact_id == artifact_id for version in standing.versions):
            return None
        return {"change": registered.REGISTER, **described}

    found = registered.find_model(store, model) or RegisteredModel(model)
    standing = _change(store, found, decide, who)
    return next(v for v in standing.versions if v.artifact_id == artifact_id)


def move_alias(
    store: Store,
    model: str,
    alias: str,
    to: str | int,
    *,
    who: str,
    why: str = "",
    evidence: Mapping[str, Any] | None = None,
    seen: int | _Unseen | None = UNSEEN,
    kind: str = registered.MOVE,
) -> AliasMove:
    """Make an alias stand for a version; `seen` is the version that it stood for, None for none.

    Raises:
      AliasMovedError: it stands for another version than `seen`, or was moved meanwhile.
      RegistryError: there is no such version, it is archived, or its files are gone or altered.
    """
    check_alias(alias)
    standing = read_model(store, model)
    version = integrity.check(store, standing.version(to))
    return _move(store, standing, alias, version.number, seen, kind, who, why, evidence)


def move_alias_once(
    store: Store,
    entry: Entry,
    model: str,
    alias: str,
    version: int,
    *,
    who: str,
    why: str,
    kind: str,
    evidence: Mapping[str, Any],
    seen: int | _Unseen | None = UNSEEN,
) -> None:
    """Make an alias stand for a version as an entry of another journal says, unless it does.

    Asking twice moves it once: an entry that has moved it before does not take it back from who has
    moved it on since.

    Raises:
      AliasMovedError: the entry has moved it already, and somebody has moved it on since; or it
        stands for another version than `seen`.
      RegistryError: the version may not be served.
    """
    name = f"{entry.journal}/{entry.key}"
    standing = read_model(store, model)
    if standing.aliases.get(alias) == version:
        return
    last = standing.last_move(alias)
    if last is not None and any(
        move.alias == alias and move.evidence.get("entry") == name for move in standing.moves
    ):
        to = f"to version {last.to}" if last.to is not None else "away"
        raise AliasMovedError(
            f"it stood for version {version} already, and {last.who} has moved it {to} since, on "
            f"{last.moved:%Y-%m-%d at %H:%M:%S}",
            last,
        )
    move_alias(
        store,
        model,
        alias,
        version,
        who=who,
        why=why,
        evidence={**evidence, "entry": name},
        seen=seen,
        kind=kind,
    )


def promote(
    store: Store,
    model: str,
    to: str | int,
    *,
    who: str,
    alias: str = CHAMPION,
    why: str = "",
    evidence: Mapping[str, Any] | None = None,
    seen: int | _Unseen | None = UNSEEN,
) -> AliasMove:
    """Make a blessed version the champion, or give it another alias.

    Raises:
      AliasMovedError: see `move_alias`.
      RegistryError: see `move_alias`; or it was not blessed.
    """
    standing = read_model(store, model)
    version = standing.version(to)
    if not version.is_blessed:
        reason = "its Evaluator did not bless it" if version.is_blessed is False else "no blessing"
        raise RegistryError(
            f"{version.name} is not promoted: {reason}",
            hint=f"To do so all the same: penstock model alias {version.name} {alias}.",
        )
    check_alias(alias)
    integrity.check(store, version)
    kind = registered.PROMOTE
    return _move(store, standing, alias, version.number, seen, kind, who, why, evidence)


def rollback(
    store: Store,
    model: str,
    *,
    who: str,
    alias: str = CHAMPION,
    to: str | int | None = None,
    why: str = "",
    evidence: Mapping[str, Any] | None = None,
) -> AliasMove:
    """Make an alias stand again for the version before, or for one that it stood for once.

    Raises:
      AliasMovedError: it was moved meanwhile.
      RegistryError: it stood for no other version, or that may not be served any more.
    """
    standing = read_model(store, model)
    now = standing.version(check_alias(alias)).number
    earlier = standing.earlier(alias)
    if to is None:
        if not earlier:
            raise RegistryError(
                f"alias {alias} of model {model} stood for no version before {now}",
                hint=f"Move it: penstock model alias {model}@NUMBER {alias}.",
            )
        to = earlier[0]
    version = standing.version(to)
    if version.number not in earlier:
        once = ", ".join(map(str, earlier)) or "none"
        raise RegistryError(
            f"alias {alias} of model {model} never stood for version {version.number} before {now}",
            hint=f"It stood for: {once}.",
        )
    integrity.check(store, version)
    kind = registered.ROLLBACK
    return _move(store, standing, alias, version.number, now, kind, who, why, evidence)


def remove_alias(
    store: Store,
    model: str,
    alias: str,
    *,
    who: str,
    why: str = "",
    seen: int | _Unseen | None = UNSEEN,
) -> AliasMove:
    """Make an alias stand for nothing.

    Raises:
      AliasMovedError: see `move_alias`.
      RegistryError: there is no such alias.
    """
    standing = read_model(store, model)
    standing.version(check_alias(alias))
    return _move(store, standing, alias, None, seen, registered.REMOVE, who, why, None)


def archive(store: Store, model: str, to: str | int, *, who: str, why: str = "") -> Version:
    """Put a version away: it is given out no more, and its files may be removed.

    Raises:
      RegistryError: there is no such version, or an alias stands for it.
    """
    standing = read_model(store, model)
    number = standing.version(to).number

    def decide(standing: RegisteredModel) -> Mapping[str, Any] | None:
        version = standing.version(number)
        if aliases := standing.aliases_of(number):
            raise RegistryError(
                f"{version.name} is not archived: it is {', '.join(aliases)}",
                hint="Move the alias first, or remove it: penstock model alias "
                f"{model} {aliases[0]} --remove.",
            )
        return None if version.is_archived else _of_version(registered.ARCHIVE, number, why)

    return _change(store, standing, decide, who).version(number)


def restore(store: Store, model: str, to: str | int, *, who: str, why: str = "") -> Version:
    """Bring back a version that was put away.

    Raises:
      RegistryError: there is no such version, or its files are gone or altered.
    """
    standing = read_model(store, model)
    version = standing.version(to)
    if reason := integrity.harm(store, version):
        raise RegistryError(f"{version.name} cannot be brought back: {reason}")

    def decide(standing: RegisteredModel) -> Mapping[str, Any] | None:
        archived = standing.version(version.number).is_archived
        return _of_version(registered.RESTORE, version.number, why) if archived else None

    return _change(store, standing, decide, who).version(version.number)


def _of_version(change: str, number: int, why: str) -> Mapping[str, Any]:
    return {"change": change, "version": number, "why": why}


def _move(
    store: Store,
    standing: RegisteredModel,
    alias: str,
    to: int | None,
    seen: int | _Unseen | None,
    kind: str,
    who: str,
    why: str,
    evidence: Mapping[str, Any] | None,
) -> AliasMove:
    """Move an alias, of which nothing but what was read of it in `standing` may be overwritten."""
    model, before = standing.name, standing.last_move(alias)

    def decide(standing: RegisteredModel) -> Mapping[str, Any] | None:
        move = standing.last_move(alias)
        now = move.to if move else None
        if not isinstance(seen, _Unseen) and now != seen:
            raise _moved(model, alias, move, seen)
        if move != before:
            raise _moved(model, alias, move, before.to if before else None)
        if to is not None and standing.version(to).is_archived:
            raise RegistryError(f"{model}@{to} is archived")
        change = {"change": kind, "alias": alias, "from": now, "to": to}
        return {**change, "why": why, "evidence": dict(evidence or {})}

    moved = _change(store, standing, decide, who).last_move(alias)
    assert moved is not None
    return moved


def _moved(model: str, alias: str, move: AliasMove | None, seen: int | None) -> AliasMovedError:
    expected = f"version {seen}" if seen is not None else "no version"
    if move is None:
        came = "it stands for none and never did"
    else:
        to = f"to version {move.to}" if move.to is not None else "away"
        came = f"{move.who} has moved it {to} on {move.moved:%Y-%m-%d at %H:%M:%S}"
    return AliasMovedError(
        f"alias {alias} of model {model} should stand for {expected}, and {came}",
        move,
        hint=f"Look at it again, and decide anew: penstock model show {model}.",
    )


def _change(store: Store, standing: RegisteredModel, decide: Decide, who: str) -> RegisteredModel:
    """Write the change that is decided on how a model stands; return how it stands then."""
    model = standing.name
    while (intent := decide(standing)) is not None:
        try:
            entry = journal.append(store, journal_of(model), intent, after=standing.head, who=who)
        except TakenError:
            standing = registered.find_model(store, model) or standing
        else:
            return model_of(model, [*standing.entries, entry])
    return standing
