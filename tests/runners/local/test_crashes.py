"""Processes are killed at every step of a node's life; what is left is whole, and resumes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from penstock._tfx import metadata_store_pb2 as proto
from penstock.execution import contents
from penstock.metadata.runs import find_run
from penstock.metadata.store import connect, connection_config
from penstock.surfaces.cli.main import penstock
from penstock.testing import WORKERS_STEPS, Step
from penstock_support import crash_components as crashing
from penstock_support.processes import Family

OWN = [
    ("Reads", Step.RESOLVING, 1),
    ("Reads", Step.RESOLVED, 1),
    ("Trains", Step.MOVED, 1),
    ("Trains", Step.MOVED, 2),
    *(("Pusher", step, 1) for step in Step if step not in (Step.RESOLVING, Step.RESOLVED)),
]
FROM_A_WORKER = [
    ("Reads", Step.RESOLVING, 1),
    ("Trains", Step.WORKED, 1),
    *(("Pusher", step, 1) for step in (Step.WORKING, Step.WORKED, Step.MEASURED)),
]
CASES = [
    *((*case, "worker" if case[1] in WORKERS_STEPS else "itself") for case in OWN),
    *((*case, "runner") for case in FROM_A_WORKER),
]


def test_every_step_is_among_the_cases():
    assert {step for _, step, _, _ in CASES} == set(Step)


def serve_a_version(folder: Path) -> None:
    """Put a first version where the pushes go."""
    for name, text in crashing.MODEL_FILES.items():
        path = folder / "serving" / "1" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def complete_versions(folder: Path) -> list[str]:
    """Return the versions that a model server sees; all of them must be complete."""
    versions = sorted(p for p in (folder / "serving").iterdir() if not p.name.startswith("."))
    for version in versions:
        assert crashing.files_of(version) == crashing.MODEL_FILES
    return [version.name for version in versions]


def digests(result: Any) -> dict[str, dict[str, list[str]]]:
    return {
        node_id: {
            key: [contents.recorded(artifact.mlmd_artifact).digest for artifact in artifacts]
            for key, artifacts in node.outputs.items()
        }
        for node_id, node in result.nodes.items()
    }


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> dict[str, dict[str, list[str]]]:
    folder = tmp_path_factory.mktemp("undisturbed")
    parameters = {"serving": str(folder / "serving")}
    return digests(crashing.runner_in(folder).run(crashing.pushing, parameters=parameters))


def connected(folder: Path) -> Any:
    return connect(connection_config(str(folder / "metadata.sqlite")), create=False)


@dataclass
class Crashed:
    """What is left of a run of which a process was killed."""

    folder: Path
    runner_was_killed: bool
    told: str = ""


@pytest.fixture(
    scope="module", params=CASES, ids=lambda case: f"{case[0]}-{case[1].name}-{case[2]}-{case[3]}"
)
def crashed(request, tmp_path_factory) -> Crashed:
    node_id, step, time, who = request.param
    folder = tmp_path_factory.mktemp("crashed")
    serve_a_version(folder)
    family = Family(crashing.__file__, (str(folder), step.name, node_id, who, str(time)))
    process = family.start()
    output, errors = process.communicate(timeout=60)
    family.wait_for_its_end()
    if who == "worker":
        assert (process.returncode, output) == (0, "failed\n"), errors
    else:
        assert (process.returncode, output) == (-9, ""), errors
    return Crashed(folder, who != "worker")


@pytest.fixture(scope="module")
def attended(crashed) -> Crashed:
    """The same when the next command has run."""
    config = crashed.folder / "penstock.toml"
    config.write_text(f'[profiles.default]\nmetadata = "{crashed.folder / "metadata.sqlite"}"\n')
    told = CliRunner().invoke(penstock, ["--config", str(config), "runs"], obj=None)
    assert told.exit_code == 0, told.output
    crashed.told = told.output
    return crashed


def test_every_visible_version_is_complete_at_once(crashed):
    assert complete_versions(crashed.folder)[0] == "1"


def test_the_next_command_marks_the_run_abandoned(attended):
    with connected(attended.folder) as metadata:
        record = find_run(metadata.store, "latest")
    assert record.state == ("abandoned" if attended.runner_was_killed else "failed")
    assert ("was killed; go on with it" in attended.told) is attended.runner_was_killed


def test_no_execution_is_left_running(attended):
    with connected(attended.folder) as metadata:
        states = {execution.last_known_state for execution in metadata.store.get_executions()}
    assert states <= {proto.Execution.COMPLETE, proto.Execution.FAILED}


def test_every_visible_artifact_is_complete(attended):
    with connected(attended.folder) as metadata:
        artifacts = metadata.store.get_artifacts()
    for artifact in artifacts:
        assert artifact.state == proto.Artifact.LIVE
        assert contents.recorded(artifact).digest == contents.measure(artifact.uri).digest


def test_no_folder_is_without_an_artifact_and_nothing_is_staged(attended):
    root = attended.folder / "root"
    folders = [p for p in root.glob("*/*/*") if p.relative_to(root).parts[0] != ".runs"]
    published = [path for path in folders if path.parent.name != ".system"]
    with connected(attended.folder) as metadata:
        known = [a.uri for a in metadata.store.get_artifacts()]
    assert [p for p in published if not any(Path(uri).is_relative_to(p) for uri in known)] == []
    assert [p for folder in folders if folder not in published for p in folder.iterdir()] == []


def test_resuming_ends_with_what_an_undisturbed_run_makes(attended, undisturbed):
    result = crashing.runner_in(attended.folder).resume(crashing.pushing)
    assert digests(result) == undisturbed
    assert complete_versions(attended.folder) == ["1", "2"]
