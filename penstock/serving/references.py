"""Which model a text means: for all commands and programs that are told a model.

    serving/flights                  a model's folder, or that of pushed versions: the newest
    latest, 20261129-063000-1a2b     the model that a run has made
    flights                          the model of a pipeline's latest run
    42, RUN/NODE, s3://…             an artifact, by its id, by what made it, or by its URI
    flights@champion, flights@3      a version of a registered model

A folder with a model is taken for one, whatever else has that name. One without, as a pipeline's
root may be, only where nothing else has its name.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from penstock.data.files import remote
from penstock.errors import DataError, LineageError, RunError, StoreError
from penstock.models.facts import read_facts
from penstock.models.known_flavors import flavor_in
from penstock.models.layout import model_directory, newest_version
from penstock.models.loading import Model, facts_of, load_from, trusted_code
from penstock.models.of_run import MODEL, is_run_id, model_of_result, not_one_model
from penstock.safety.containment import is_name

if TYPE_CHECKING:
    from penstock.metadata.protocol import Store
    from penstock.metadata.reading import ArtifactRecord
    from penstock.metadata.runs import RunRecord
    from penstock.project.config import Config

_MODELS = (MODEL, "PushedModel")


@dataclass(frozen=True)
class FoundModel:
    """A model that was found: its folder, and what it is called.

    `version` is a registered or pushed version, or the id of the model's artifact. `trusted` is the
    code that may run for it, by the store's word.
    """

    path: str
    name: str
    version: int = 1
    trusted: tuple[str, ...] = ()


def find_model(
    reference: str, *, profile: str | None = None, config: Config | None = None
) -> FoundModel:
    """Return the model that a text means.

    `profile` and `config` say whose store has runs, artifacts and registered models; by default
    that of this folder's project.

    Raises:
      DataError: nothing is called so, or several things are, or no model is in the folder.
      RunError: the run has made no model, or several.
      RegistryError: the version may not be served, or there is none.
      StoreError: the store cannot be used.
    """
    from penstock import registry

    if _is_path(reference):
        return _of_folder(reference)
    try:
        with registry.connect(profile, config) as store:
            return model_in_store(store, reference)
    except (LineageError, StoreError) as error:
        if os.path.isdir(reference):
            return _of_folder(reference)
        if is_in_store(reference) or error.message.startswith("run "):
            raise
        raise _nothing(reference) from None


def load_model(source: Any, *, profile: str | None = None, trusted: Sequence[str] = ()) -> Model:
    """Return a model, ready to predict.

    `source` is what `penstock predict` takes: a model's folder, one of pushed versions, a run, a
    pipeline, an artifact's id or URI, NAME@ALIAS or NAME@VERSION; or a Model or PushedModel
    artifact itself, or what a runner returned. `profile` says whose store is meant. `trusted` names
    the code beyond the framework's own that may run for it, as the error says that asks for it.

    Raises:
      DataError: there is no model, or its format would run code.
      RunError: the run has made no model, or several.
      RegistryError: the version may not be served, or there is none.
      MissingExtra: its framework is not installed.
    """
    if hasattr(source, "run_id") and hasattr(source, "nodes"):
        source = model_of_result(source)
    if hasattr(source, "uri"):
        found = FoundModel(_directory(source.uri), "model", trusted=trusted_code(source))
    else:
        found = find_model(os.fspath(source), profile=profile)
    return load_from(found.path, facts_of(found.path), trusted=(*trusted, *found.trusted))


def is_in_store(reference: str) -> bool:
    """Return whether a text that is no folder can only mean something that a store has."""
    return "@" in reference or is_run_id(reference) or reference.isdecimal()


def name_of_folder(folder: str) -> str:
    """Return what a model in a folder is called where nothing else says: as the folder."""
    absolute = os.path.abspath(folder)
    parent, name = os.path.split(absolute)
    return os.path.basename(parent) if name.isdecimal() else name


def model_in_store(store: Store, reference: str) -> FoundModel:
    """Return the model that a text means which is no folder; raises as `find_model` does."""
    from penstock import registry

    name, at, version = reference.partition("@")
    if at and is_name(name):
        return of_version(store, registry.resolve(store, name, version))
    if reference.isdecimal() or "/" in reference:
        return _of_artifact(store, reference)
    if is_run_id(reference):
        return _of_run(store, _run(store, reference))
    return _of_name(store, reference)


def of_version(store: Store, version: Any) -> FoundModel:
    """Return the model of a registered version.

    Raises:
      DataError: it is in an object store, or no model.
    """
    trusted = _trusted(store, version.artifact_id)
    return FoundModel(_directory(version.uri), version.model, version.number, trusted)


def _is_path(reference: str) -> bool:
    if not os.path.exists(reference):
        return False
    if os.sep in reference or reference in (os.curdir, os.pardir) or not os.path.isdir(reference):
        return True
    if newest_version(reference) is not None:
        return True
    directory = model_directory(reference)
    return read_facts(directory) is not None or flavor_in(directory) is not None


def _of_folder(path: str) -> FoundModel:
    newest = newest_version(path)
    if newest is None:
        own = os.path.basename(os.path.abspath(path))
        number = int(own) if own.isdecimal() else 1
        return FoundModel(os.path.abspath(model_directory(path)), name_of_folder(path), number)
    directory = os.path.abspath(model_directory(os.path.join(path, str(newest))))
    return FoundModel(directory, name_of_folder(path), newest)


def _of_name(store: Store, name: str) -> FoundModel:
    from penstock.metadata.reading import PIPELINE_CONTEXT
    from penstock.metadata.registered import find_model as find_registered
    from penstock.metadata.runs import list_runs

    known = store.get_context_by_type_and_name(PIPELINE_CONTEXT, name)
    newest = list_runs(store, pipeline_name=name, most=1) if known is not None else []
    registered = find_registered(store, name) if is_name(name) else None
    if registered is not None:
        aliases = [f"{name}@{alias}" for alias in registered.aliases]
        references = aliases or [f"{name}@{version.number}" for version in registered.versions]
        other = f"and the pipeline of run {newest[0].run_id}" if newest else "with versions"
        raise DataError(
            f"{name!r} is a registered model {other}: which model is meant is not clear",
            hint=f"Say which: {', '.join([*references[:5], *(run.run_id for run in newest)])}.",
        )
    if newest:
        return _of_run(store, newest[0])
    return _of_run(store, _run(store, name))


def _run(store: Store, reference: str) -> RunRecord:
    from penstock.metadata.runs import find_run

    try:
        return find_run(store, reference)
    except RunError as error:
        if is_run_id(reference) or "fits several" in error.message:
            raise
        raise LineageError(error.message, hint=error.hint) from None


def _of_run(store: Store, run: RunRecord) -> FoundModel:
    from penstock.registry.facts import models_of_run

    made = models_of_run(store, run)
    if len(made) != 1:
        ids = ", ".join(f"{artifact.artifact_id} (by {node})" for artifact, node in made)
        raise not_one_model(run.run_id, [node for _, node in made], f"Name it by its id: {ids}.")
    return _of_record(store, made[0][0], run.pipeline_name)


def _of_artifact(store: Store, reference: str) -> FoundModel:
    from penstock.metadata.graph import read_makers
    from penstock.metadata.lineage import find_artifact

    artifact = find_artifact(store, reference)
    if artifact.type_name not in _MODELS:
        raise DataError(
            f"expected a model, and artifact {artifact.artifact_id} is {artifact.type_name}",
            path=artifact.uri,
            hint="penstock show RUN has the ids of a run's models.",
        )
    maker = read_makers(store, [artifact.artifact_id]).get(artifact.artifact_id)
    return _of_record(store, artifact, maker.pipeline_name if maker is not None else "")


def _of_record(store: Store, artifact: ArtifactRecord, name: str) -> FoundModel:
    trusted = _trusted(store, artifact.artifact_id)
    return FoundModel(_directory(artifact.uri), name or "model", artifact.artifact_id, trusted)


def _trusted(store: Store, artifact_id: int) -> tuple[str, ...]:
    from penstock.metadata.store import artifacts_by_id

    [artifact] = artifacts_by_id(store, [artifact_id])
    return trusted_code(artifact)


def _directory(uri: str) -> str:
    if remote.is_remote(uri):
        raise DataError(
            "the model is in an object store, and is loaded from a folder",
            path=uri,
            hint="Copy it to this machine, and give that folder.",
        )
    return os.path.abspath(model_directory(uri))


def _nothing(reference: str) -> DataError:
    return DataError(
        "expected a model: a folder, a run, a pipeline that has run, an artifact's id or URI, or "
        f"NAME@ALIAS; {reference!r} is none of these",
        hint="penstock runs lists the runs, penstock model list the registered models.",
    )
