"""Registered models: their versions, and the aliases by which these are known.

All that happens to a model is one numbered journal, `model/{name}`: a version is registered, an
alias is moved, a version is archived or brought back. How the model stands is what its journal
comes to. Since each entry says after which it was decided, all changes of a model have one order.
A context of type `registered_model` holds the model's name, so that models can be listed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from penstock import _tfx
from penstock.errors import RegistryError, suggestion
from penstock.metadata import journal
from penstock.metadata.evaluations import Metric
from penstock.metadata.journal import Entry
from penstock.metadata.protocol import Store
from penstock.metadata.reading import all_contexts, number_of
from penstock.metadata.rows import readable, reading
from penstock.metadata.turns import context_type_id
from penstock.project.model_names import check_model_name

MODEL_CONTEXT = "registered_model"
CHAMPION = "champion"

REGISTER = "register"
MOVE = "move"
PROMOTE = "promote"
ROLLBACK = "rollback"
REMOVE = "remove"
ARCHIVE = "archive"
RESTORE = "restore"


@dataclass(frozen=True)
class Version:
    """A version of a registered model.

    `facts` is what was known of it when it was registered, as JSON: the run and node that made it,
    `parameters`, `data`, `schemas`, `code`, `environment`, `flavor`, `signature`, `evaluation`,
    `blessing`. `digest` is that of its files, "" where none could be computed.
    """

    model: str
    number: int
    artifact_id: int
    uri: str
    digest: str
    who: str
    registered: datetime
    facts: Mapping[str, Any] = field(default_factory=dict)
    is_archived: bool = False

    @property
    def name(self) -> str:
        """How commands name it: `flights@3`."""
        return f"{self.model}@{self.number}"

    @property
    def run_id(self) -> str:
        """The run that made it, "" where the store does not know."""
        return str(self.facts.get("run_id", ""))

    @property
    def is_blessed(self) -> bool | None:
        """What the Evaluator's blessing says; None where there is none, or it abstained."""
        blessed = (self.facts.get("blessing") or {}).get("blessed")
        return None if blessed is None else bool(blessed)

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The metrics of its evaluation over all examples, as far as the store has them."""
        listed = (self.facts.get("evaluation") or {}).get("metrics", ())
        return tuple(Metric(**metric) for metric in listed)

    @property
    def artifact_ids(self) -> frozenset[int]:
        """The model's artifact and those that speak of it."""
        others = (self.facts.get(key) or {} for key in ("evaluation", "blessing", "infra_blessing"))
        ids = (other.get("artifact_id") for other in others)
        return frozenset({self.artifact_id, *filter(None, ids)})


@dataclass(frozen=True)
class AliasMove:
    """An alias came to stand for another version: from `before` to `to`, where None is none."""

    alias: str
    kind: str
    before: int | None
    to: int | None
    who: str
    moved: datetime
    why: str = ""
    evidence: Mapping[str, Any] = field(default_factory=dict)
    number: int = 0


@dataclass(frozen=True)
class RegisteredModel:
    """A registered model as its journal has it: `entries` in their order, and what they come to."""

    name: str
    versions: tuple[Version, ...] = ()
    moves: tuple[AliasMove, ...] = ()
    entries: tuple[Entry, ...] = ()

    @property
    def head(self) -> Entry | None:
        """The last entry, after which the next is written."""
        return self.entries[-1] if self.entries else None

    @property
    def aliases(self) -> dict[str, int]:
        """The version that each alias stands for, by the alias."""
        standing = {move.alias: move.to for move in self.moves}
        return {alias: to for alias, to in sorted(standing.items()) if to is not None}

    def last_move(self, alias: str) -> AliasMove | None:
        """Return the last move of an alias."""
        return next((move for move in reversed(self.moves) if move.alias == alias), None)

    def earlier(self, alias: str) -> list[int]:
        """Return the versions to which an alias can be rolled back, the nearest first.

        What was rolled back from is not among them, unless it was moved to anew.
        """
        stack: list[int] = []
        for move in self.moves:
            if move.alias != alias or move.to is None:
                continue
            if move.kind == ROLLBACK:
                while stack and stack[-1] != move.to:
                    stack.pop()
            if move.to in stack:
                stack.remove(move.to)
            stack.append(move.to)
        now = self.aliases.get(alias)
        return [number for number in reversed(stack) if number != now]

    def version(self, reference: str | int) -> Version:
        """Return a version by its number or by an alias.

        Raises:
          RegistryError: there is no such version or alias.
        """
        text = str(reference)
        is_number = text.isascii() and text.isdigit()
        number = number_of(text) if is_number else self.aliases.get(text)
        for version in self.versions:
            if version.number == number:
                return version
        if is_number:
            newest = f"it has {len(self.versions)}" if self.versions else "it has none"
            raise RegistryError(
                f"model {self.name} has no version {text}: {newest}",
                hint=f"penstock model show {self.name} lists them.",
            )
        raise RegistryError(
            f"model {self.name} has no alias {text!r}",
            hint=suggestion(text, self.aliases, noun="alias")
            if self.aliases
            else f"Give it one: penstock model alias {self.name}@NUMBER {text}.",
        )

    def aliases_of(self, number: int) -> list[str]:
        """Return the aliases that stand for a version."""
        return [alias for alias, to in self.aliases.items() if to == number]


def journal_of(model: str) -> str:
    """Return the journal of a model.

    Raises:
      RegistryError: a model cannot have this name.
    """
    return f"model/{check_model_name(model)}"


def declare(store: Store, model: str) -> None:
    """Make the context that holds a model's name, unless it is there."""
    check_model_name(model)
    if store.get_context_by_type_and_name(MODEL_CONTEXT, model) is not None:
        return
    context = _tfx.metadata_store_pb2.Context(name=model)
    context.type_id = context_type_id(store, MODEL_CONTEXT)
    try:
        store.put_contexts([context])
    except _tfx.ml_metadata.errors.AlreadyExistsError:
        return


def model_names(store: Store) -> list[str]:
    """Return the names of all registered models."""
    return sorted(context.name for context in all_contexts(store, MODEL_CONTEXT))


def find_model(store: Store, model: str) -> RegisteredModel | None:
    """Return a registered model, None where there is none of that name yet.

    Raises:
      RegistryError: a model cannot have this name.
    """
    entries = journal.entries(store, journal_of(model))
    return model_of(model, entries) if entries else None


def read_model(store: Store, model: str) -> RegisteredModel:
    """Return a registered model.

    Raises:
      RegistryError: there is none of that name.
    """
    found = find_model(store, model)
    if found is None:
        names = model_names(store)
        raise RegistryError(
            f"there is no registered model {model!r}",
            hint=suggestion(model, names, noun="model")
            if names
            else "Register one: penstock model register RUN NAME, or a ModelRegistrar in the "
            "pipeline.",
        )
    return found


def read_models(store: Store, *, strict: bool = False) -> list[RegisteredModel]:
    """Return all registered models that have a version.

    A model of which an entry cannot be read is left out: which version has which number depends
    on all of them.

    Raises:
      MalformedRowError: with `strict`, an entry cannot be read.
    """
    by_journal: dict[str, list[Entry]] = {}
    for entry in journal.entries_below(store, "model", strict=strict):
        by_journal.setdefault(entry.journal, []).append(entry)
    listed = [(name.partition("/")[2], entries) for name, entries in sorted(by_journal.items())]
    if strict:
        return [model_of(name, entries) for name, entries in listed]
    return list(readable(listed, lambda named: model_of(*named)))


def model_of(name: str, entries: Iterable[Entry]) -> RegisteredModel:
    """Return what the entries of a model's journal come to, in the order of their numbers.

    Raises:
      MalformedRowError: one of them cannot be read, or is not there.
    """
    versions: dict[int, Version] = {}
    moves: list[AliasMove] = []
    entries = list(entries)
    for entry in entries:
        with reading(journal.row_of(entry)):
            int(entry.key)
    entries.sort(key=lambda entry: entry.number)
    for place, entry in enumerate(entries, 1):
        with reading(journal.row_of(entry)):
            if entry.number != place:
                raise ValueError(f"entry {place} of the model, before it, cannot be read")
            _follow(name, entry, versions, moves)
    return RegisteredModel(name, tuple(versions.values()), tuple(moves), tuple(entries))


def _follow(name: str, entry: Entry, versions: dict[int, Version], moves: list[AliasMove]) -> None:
    """Take account of what an entry says has happened to a model."""
    intent = entry.intent
    if intent["change"] == REGISTER:
        version = _version(name, len(versions) + 1, entry)
        _check(version)
        versions[version.number] = version
    elif intent["change"] in (ARCHIVE, RESTORE):
        number = intent["version"]
        archived = intent["change"] == ARCHIVE
        versions[number] = replace(versions[number], is_archived=archived)
    else:
        moves.append(_move(entry))


def needed_artifacts(models: Iterable[RegisteredModel]) -> frozenset[int]:
    """Return the artifacts of all versions of models that are not archived, by id."""
    return _artifacts(models, archived=False)


def archived_artifacts(models: Iterable[RegisteredModel]) -> frozenset[int]:
    """Return the artifacts that are of archived versions alone, by id."""
    models = list(models)
    return _artifacts(models, archived=True) - _artifacts(models, archived=False)


def _artifacts(models: Iterable[RegisteredModel], *, archived: bool) -> frozenset[int]:
    return frozenset(
        artifact_id
        for model in models
        for version in model.versions
        if version.is_archived == archived
        for artifact_id in version.artifact_ids
    )


@dataclass(frozen=True)
class Registration:
    """The version that an artifact was registered as, and the aliases that stand for it now."""

    version: Version
    aliases: tuple[str, ...] = ()


def registrations_of(store: Store, artifact_ids: Iterable[int]) -> tuple[Registration, ...]:
    """Return what some artifacts were registered as."""
    wanted = set(artifact_ids)
    if not wanted:
        return ()
    return tuple(
        Registration(version, tuple(model.aliases_of(version.number)))
        for model in read_models(store)
        for version in model.versions
        if version.artifact_id in wanted
    )


def _check(version: Version) -> None:
    """Raise what is wrong with the facts of a version that others rely on."""
    if not all(isinstance(artifact_id, int) for artifact_id in version.artifact_ids):
        raise ValueError(
            f"expected ids of artifacts, got {sorted(map(repr, version.artifact_ids))}"
        )
    if not isinstance(version.uri, str) or not isinstance(version.digest, str):
        raise ValueError(f"expected texts as 'uri' and 'digest', got {version.uri!r}")
    for metric in version.metrics:
        if not isinstance(metric.value, int | float):
            raise ValueError(f"expected a number as metric {metric.name!r}, got {metric.value!r}")


def _version(model: str, number: int, entry: Entry) -> Version:
    intent = entry.intent
    return Version(
        model,
        number,
        intent["artifact_id"],
        intent["uri"],
        intent["digest"],
        entry.who,
        entry.recorded,
        intent["facts"],
    )


def _move(entry: Entry) -> AliasMove:
    intent = entry.intent
    return AliasMove(
        intent["alias"],
        intent["change"],
        intent["from"],
        intent["to"],
        entry.who,
        entry.recorded,
        intent.get("why", ""),
        intent.get("evidence", {}),
        entry.number,
    )
