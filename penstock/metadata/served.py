"""What made the model that is being served: its data, code, parameters and run."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from penstock.errors import LineageError
from penstock.metadata.graph import ExecutionRecord, Graph, read_ancestors
from penstock.metadata.protocol import Store
from penstock.metadata.reading import ArtifactRecord, to_records
from penstock.metadata.runs import RunRecord, find_run

PUSHED_MODEL = "PushedModel"
_BLESSINGS = ("ModelBlessing", "InfraBlessing")
# A folder with one of these is a model, not a folder of versions.
_MODEL_FILES = ("saved_model.pb", "saved_model.pbtxt")


@dataclass(frozen=True)
class FolderComparison:
    """How a folder differs from a copy of what was pushed.

    `reference` is that copy; it is empty where none is left, and then nothing is known. Files are
    relative to the folder.
    """

    reference: str = ""
    changed: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    files: int = 0

    @property
    def is_same(self) -> bool | None:
        """Whether all files are the same; None where there is nothing to compare with."""
        if not self.reference:
            return None
        return not (self.changed or self.missing or self.added)


@dataclass(frozen=True)
class Provenance:
    """An artifact and the execution that really made it."""

    artifact: ArtifactRecord
    maker: ExecutionRecord | None


@dataclass(frozen=True)
class Served:
    """A served version of a model, and all that made it.

    `data` are the artifacts of ExampleGens that the model was made from; `sources` what those were
    given, as tables. `evaluations` belong to the blessings that the push asked for. `runs` are by
    name: the run that pushed it and those that made something of it.
    """

    folder: str
    contents: FolderComparison
    pushed: Provenance
    model: Provenance
    data: tuple[Provenance, ...]
    sources: tuple[Provenance, ...]
    schemas: tuple[Provenance, ...]
    transform_graphs: tuple[Provenance, ...]
    evaluations: tuple[Provenance, ...]
    blessings: tuple[Provenance, ...]
    runs: Mapping[str, RunRecord] = field(default_factory=dict)

    @property
    def is_elsewhere(self) -> bool:
        """Whether the folder is not where the push went, and was found by its contents."""
        return not goes_to(_destination(self.pushed.artifact), self.folder)

    @property
    def pushing_run(self) -> RunRecord | None:
        """The run that pushed the model."""
        return self.runs.get(self.pushed.maker.run_id) if self.pushed.maker else None

    @property
    def training_run(self) -> RunRecord | None:
        """The run that trained the model, which may be an earlier one."""
        return self.runs.get(self.model.maker.run_id) if self.model.maker else None


def explain_served(store: Store, directory: str) -> Served:
    """Return what made the model in a folder of versions (its newest), or in one version.

    Raises:
      LineageError: there is no version, or nothing in the store was pushed to it.
    """
    pushes = _pushes(store)
    folder = version_folder(directory, {_destination(p) for p in pushes})
    pushed = _find_push(pushes, folder)
    graph = read_ancestors(store, [pushed.artifact_id])
    model = _model_of(graph, pushed.artifact_id)
    from_model = list(graph.nearest_first(model.artifact_id))
    examples = [a for a in from_model if a.type_name == "Examples" and graph.is_ingested(a)]
    of_push = [graph.artifacts[link.artifact_id] for link in graph.inputs_of(pushed.artifact_id)]
    blessings = [a for a in of_push if a.type_name in _BLESSINGS]

    def provenances(artifacts: Iterable[ArtifactRecord]) -> tuple[Provenance, ...]:
        return tuple(Provenance(a, graph.maker(a.artifact_id)) for a in artifacts)

    def of_type(name: str) -> tuple[Provenance, ...]:
        return provenances(a for a in from_model if a.type_name == name)

    served = Served(
        folder=folder,
        contents=compare_with_push(folder, pushed, model),
        pushed=provenances([pushed])[0],
        model=provenances([model])[0],
        data=provenances(examples),
        sources=provenances(_inputs_of(graph, examples)),
        schemas=of_type("Schema"),
        transform_graphs=of_type("TransformGraph"),
        evaluations=provenances(_outputs_beside(graph, blessings, "ModelEvaluation")),
        blessings=provenances(blessings),
    )
    return _with_runs(store, served)


def _with_runs(store: Store, served: Served) -> Served:
    parts = (served.pushed, served.model, *served.data)
    names = [part.maker.run_id for part in parts if part.maker and part.maker.run_id]
    runs = {name: find_run(store, name) for name in dict.fromkeys(names)}
    return Served(**{**served.__dict__, "runs": runs})


def version_folder(directory: str, destinations: Iterable[str] = ()) -> str:
    """Return the version that a model server takes from a folder: the greatest number.

    A folder that is a model, or one of the known destinations of a push, is returned as it is.

    Raises:
      LineageError: there is no such folder, or no version in it.
    """
    if "://" in directory:
        return directory.rstrip("/")
    folder = os.path.realpath(directory)
    if not os.path.isdir(folder):
        raise LineageError(f"there is no folder {directory}")
    pushed_folders = {os.path.realpath(d) for d in destinations if "://" not in d}
    if folder in pushed_folders or any(
        os.path.exists(os.path.join(folder, f)) for f in _MODEL_FILES
    ):
        return folder
    versions = [
        name
        for name in os.listdir(folder)
        if not name.startswith(".") and os.path.isdir(os.path.join(folder, name))
    ]
    numbers = [name for name in versions if name.isascii() and name.isdigit()]
    if numbers:
        return os.path.join(folder, max(numbers, key=int))
    named = [os.path.join(folder, name) for name in versions]
    pushed = [path for path in named if path in pushed_folders]
    if len(pushed) == 1:
        return pushed[0]
    if pushed:
        raise LineageError(
            f"{directory} has several versions, and their names are no numbers",
            hint=f"Name one: {', '.join(sorted(pushed))}.",
        )
    raise LineageError(
        f"there is no version of a model in {directory}",
        hint="Name the base_directory of a Pusher, or a version's folder in it.",
    )


def _pushes(store: Store) -> list[ArtifactRecord]:
    records = to_records(store, store.get_artifacts_by_type(PUSHED_MODEL)).values()
    done = [a for a in records if a.properties.get("pushed") == 1]
    return sorted(done, key=lambda a: a.artifact_id, reverse=True)


def _destination(pushed: ArtifactRecord) -> str:
    return str(pushed.properties.get("pushed_destination", ""))


def _find_push(pushes: list[ArtifactRecord], folder: str) -> ArtifactRecord:
    """Find the newest push to a folder; or of the same files, where the folder was moved since."""
    for pushed in pushes:
        if goes_to(_destination(pushed), folder):
            return pushed
    name = os.path.basename(folder)
    same_name = [p for p in pushes if os.path.basename(_destination(p).rstrip("/")) == name]
    for pushed in [*same_name, *pushes]:
        if os.path.isdir(folder) and compare_folders(folder, pushed.uri).is_same:
            return pushed
    hint = "Is it another project's? --profile and --config choose the store that is asked."
    if same_name:
        hint = (
            f"A version of that name was pushed to {_destination(same_name[0])}, with other "
            f"contents. {hint}"
        )
    raise LineageError(f"nothing in the store was pushed to {folder}", hint=hint)


def goes_to(destination: str, folder: str) -> bool:
    """Return whether a push to `destination` went to `folder`.

    TFX records a relative destination as it was given; nobody knows from where it counts.
    """
    if "://" in destination or "://" in folder:
        return destination.rstrip("/") == folder.rstrip("/")
    if not os.path.isabs(destination):
        return bool(destination) and folder.endswith(os.sep + os.path.normpath(destination))
    return os.path.realpath(destination) == os.path.realpath(folder)


def compare_with_push(
    folder: str, pushed: ArtifactRecord, model: ArtifactRecord
) -> FolderComparison:
    """Compare a served folder with the copy that the push kept, or else with the model itself."""
    for reference in (pushed.uri, os.path.join(model.uri, "Format-Serving")):
        if os.path.isdir(reference) and os.path.isdir(folder):
            return compare_folders(folder, reference)
    return FolderComparison()


def compare_folders(folder: str, reference: str) -> FolderComparison:
    """Compare the files of two folders by their contents."""
    if not os.path.isdir(reference):
        return FolderComparison()
    try:
        return _compare(folder, reference)
    except OSError as error:
        raise LineageError(f"{folder} cannot be compared with {reference}: {error}") from error


def _compare(folder: str, reference: str) -> FolderComparison:
    there, expected = _files(folder), _files(reference)
    changed = [
        name
        for name in sorted(there.keys() & expected.keys())
        if os.path.getsize(there[name]) != os.path.getsize(expected[name])
        or _digest(there[name]) != _digest(expected[name])
    ]
    return FolderComparison(
        reference,
        tuple(changed),
        tuple(sorted(expected.keys() - there.keys())),
        tuple(sorted(there.keys() - expected.keys())),
        len(there),
    )


def _files(folder: str) -> dict[str, str]:
    return {
        os.path.relpath(os.path.join(parent, name), folder): os.path.join(parent, name)
        for parent, _, names in os.walk(folder)
        for name in names
    }


def _digest(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _model_of(graph: Graph, pushed_id: int) -> ArtifactRecord:
    for artifact in graph.nearest_first(pushed_id):
        if artifact.type_name == "Model":
            return artifact
    raise LineageError(
        f"the store does not say which model the PushedModel {pushed_id} is a copy of",
        hint=f"penstock lineage {pushed_id} shows all that it says.",
    )


def _inputs_of(graph: Graph, artifacts: Iterable[ArtifactRecord]) -> list[ArtifactRecord]:
    """Return all that stands above some artifacts."""
    inputs = {
        above.artifact_id: above
        for artifact in artifacts
        for above in graph.nearest_first(artifact.artifact_id)
        if above.artifact_id != artifact.artifact_id
    }
    return list(inputs.values())


def _outputs_beside(
    graph: Graph, artifacts: Iterable[ArtifactRecord], type_name: str
) -> list[ArtifactRecord]:
    """Return what the makers of artifacts made of another type."""
    makers = {graph.makers[a.artifact_id] for a in artifacts if a.artifact_id in graph.makers}
    ids = {link.artifact_id for maker in makers for link in graph.outputs.get(maker, ())}
    outputs = [graph.artifacts[artifact_id] for artifact_id in sorted(ids)]
    return [a for a in outputs if a.type_name == type_name]
