"""Names that others chose lead nowhere but below their roots."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock import _tfx, ir, pipeline
from penstock.artifacts import Examples, Model
from penstock.components.pusher import ledger, local_versions
from penstock.data.splits import CUSTOM_SPLIT_PATTERN, split_directory, split_files
from penstock.errors import DataError, PenstockError, PipelineError, StorageError
from penstock.execution import preconditions, staging
from penstock.runners.local import State
from penstock.safety.containment import below, inside, is_name, name
from penstock_support import example_components as examples
from penstock_support import secret_components

LEADING_OUT = ["..", "../x", "a/../../x", "/etc", "", ".", "a\0b", "a\\b", "x/y"]


@pytest.mark.parametrize("text", LEADING_OUT)
def test_what_is_more_than_a_name_is_refused(text):
    assert not is_name(text)
    with pytest.raises(DataError, match="the name of a thing becomes part of a path, so it cannot"):
        name(text, "the name of a thing")


@given(st.text(alphabet="./\\ab\0-"))
def test_a_name_stays_in_its_folder(text):
    if is_name(text):
        assert os.path.dirname(os.path.normpath(os.path.join("/root", text))) == "/root"


@pytest.mark.parametrize("path", ["..", "a/../..", "/etc/passwd", "link/x", "link", "."])
def test_a_path_that_leads_out_of_its_root_is_refused(tmp_path, path):
    root = tmp_path / "root"
    root.mkdir()
    (root / "link").symlink_to(tmp_path)
    with pytest.raises(DataError, match=f"expected a path inside of {root}.*nothing is written"):
        inside(str(root), os.path.join(str(root), path))


def test_a_path_below_its_root_is_fine_also_when_the_root_is_a_link(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "root").symlink_to(tmp_path / "real")
    path = str(tmp_path / "root" / "a" / "b")
    assert inside(str(tmp_path / "root"), path) == path


@pytest.mark.parametrize("pattern", ["../x", "/etc/*", "a/../../*"])
def test_a_pattern_that_leads_out_of_its_folder_is_refused(pattern):
    with pytest.raises(DataError, match="the pattern leads out of its folder"):
        below("/data/examples", pattern, "the pattern")


@pytest.mark.parametrize("split", ["../../x", "a/b", "..", ""])
def test_a_split_cannot_lead_out_of_its_artifact(split):
    with pytest.raises(DataError, match="the name of a split becomes part of a path"):
        split_directory("/data/examples", split)


def test_an_artifact_s_own_split_pattern_cannot_lead_out_of_it(tmp_path):
    (tmp_path / "secret.gz").touch()
    artifact = Examples()
    artifact.uri = str(tmp_path / "examples")
    artifact.split_names = '["train"]'
    artifact.set_string_custom_property(CUSTOM_SPLIT_PATTERN, '{"train": "../*.gz"}')
    with pytest.raises(DataError, match="custom_split_pattern of split 'train' leads out"):
        split_files(artifact, "train")


def test_splits_that_a_store_names_are_not_written_elsewhere(run_pipeline, tmp_path):
    from penstock.components import StatisticsGen

    (tmp_path / "data").mkdir()

    @pipeline
    def poisoned():
        data = _tfx.Importer(
            source_uri=str(tmp_path / "data"),
            artifact_type=Examples,
            properties={"split_names": '["../../../../../elsewhere"]'},
        )
        return StatisticsGen(examples=data.outputs["result"])

    node = run_pipeline(poisoned).nodes["StatisticsGen"]
    assert node.state is State.FAILED
    assert "the name of a split becomes part of a path" in node.error
    assert not (tmp_path / "elsewhere").exists()


def bound(**changes: str):
    """Return bound IR of one node, with its pipeline, node, output or run renamed."""

    @pipeline
    def honest():
        return examples.Describes().with_id("node")

    compiled = ir.bind(
        ir.compile_pipeline(honest, pipeline_root="/data/root"),
        run_id=changes.get("run", "run"),
        parameters={},
    )
    compiled.pipeline_info.id = changes.get("pipeline", "honest")
    node = compiled.nodes[0].pipeline_node
    node.node_info.id = changes.get("node", "node")
    if "output" in changes:
        node.outputs.outputs[changes["output"]].CopyFrom(node.outputs.outputs["model"])
    return compiled


@pytest.mark.parametrize("what", ["pipeline", "run", "node", "output"])
@pytest.mark.parametrize("text", ["../../x", "..", "/etc", "a/b", ".system"])
def test_names_of_a_pipeline_cannot_lead_out_of_its_root(what, text):
    with pytest.raises(PipelineError, match=f"{what}.* becomes a folder, so it cannot be"):
        preconditions.check(ir.view(bound(**{what: text})))


def test_a_node_of_an_evil_name_runs_nothing(run_pipeline, tmp_path):
    @pipeline
    def evil():
        return examples.Describes().with_id("../../evil")

    with pytest.raises(PipelineError, match="a node's name becomes a folder"):
        run_pipeline(evil)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("link", ["Describes", "Describes/.system", "Describes/model", ".runs"])
def test_a_link_below_the_root_is_not_followed(run_pipeline, tmp_path, link):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    place = tmp_path / "root" / link
    place.parent.mkdir(parents=True)
    place.symlink_to(elsewhere)

    @pipeline
    def linked():
        return examples.Describes()

    with pytest.raises(DataError, match=f"where it leads to {elsewhere}"):
        run_pipeline(linked)
    assert list(elsewhere.iterdir()) == []


def test_nothing_is_discarded_over_a_link(tmp_path):
    theirs = tmp_path / "elsewhere" / "executor_execution" / "7"
    theirs.mkdir(parents=True)
    node = tmp_path / "root" / "node"
    node.mkdir(parents=True)
    (node / ".system").symlink_to(tmp_path / "elsewhere")
    staging.discard(str(node), 7)
    assert theirs.is_dir()
    with pytest.raises(DataError, match="expected a path inside of"):
        staging.stage({}, str(node), 7)


def abandoned(tmp_path: Path, **changes: str) -> Path:
    """Make files as of the execution 7, and give up what a store says of it; return their root."""
    root = tmp_path / "root"
    for folder in ("node/model/7", "node/.system/executor_execution/7", ".runs/run"):
        (root / folder).mkdir(parents=True)
    named = {"root": str(root), "run_id": "run", "node_id": "node", **changes}
    staging.withdraw(named["root"], named["run_id"], named["node_id"], 7)
    return root


def left(root: Path) -> list[str]:
    return sorted(str(p.relative_to(root)) for p in root.rglob("7"))


EVERYTHING = ["node/.system/executor_execution/7", "node/model/7"]


def test_what_an_abandoned_run_wrote_is_removed(tmp_path):
    assert left(abandoned(tmp_path)) == []


@pytest.mark.parametrize("run_id", ["other", "..", "", "../node", "run/../../node"])
def test_nothing_is_removed_below_a_folder_that_is_not_the_root_of_the_run(tmp_path, run_id):
    assert left(abandoned(tmp_path, run_id=run_id)) == EVERYTHING


@pytest.mark.parametrize("node_id", ["../root/node", ".", "..", "../../etc"])
def test_nothing_is_removed_of_what_a_store_calls_a_node_and_is_none(tmp_path, node_id):
    assert left(abandoned(tmp_path, node_id=node_id)) == EVERYTHING


@pytest.mark.parametrize("link", ["node", "node/model", "node/.system"])
def test_nothing_of_an_abandoned_run_is_removed_over_a_link(tmp_path, link):
    elsewhere = tmp_path / "elsewhere"
    for folder in ("7", "model/7", "executor_execution/7", ".system/executor_execution/7"):
        (elsewhere / folder).mkdir(parents=True)
    (tmp_path / "root" / ".runs" / "run").mkdir(parents=True)
    place = tmp_path / "root" / link
    place.parent.mkdir(exist_ok=True)
    place.symlink_to(elsewhere)
    staging.withdraw(str(tmp_path / "root"), "run", "node", 7)
    assert len(left(elsewhere)) == 4


def test_a_run_leaves_alone_what_is_imported(run_pipeline, tmp_path):
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "file").write_text("theirs")

    @pipeline
    def importing():
        model = _tfx.Importer(source_uri=str(theirs), artifact_type=Model)
        return secret_components.After(model=model.outputs["result"])

    assert run_pipeline(importing).succeeded
    assert [p.name for p in theirs.iterdir()] == ["file"]
    assert (theirs / "file").read_text() == "theirs"


def push(tmp_path: Path, **options):
    model = tmp_path / "model"
    model.mkdir(exist_ok=True)
    (model / "saved_model.pb").touch()
    base = str(tmp_path / "serving")
    return local_versions.push(str(model), base, version_names="sequential", **options)


def test_a_push_neither_empties_nor_follows_what_links_in_its_folder_lead_to(tmp_path):
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "file").touch()
    serving = tmp_path / "serving"
    serving.mkdir()
    (serving / "1").symlink_to(theirs)
    (serving / f"{local_versions.STAGING_PREFIX}9").symlink_to(theirs)
    push(tmp_path, keep_last=1)
    assert [p.name for p in theirs.iterdir()] == ["file"]
    assert sorted(p.name for p in serving.iterdir() if p.name[0] != ".") == ["2"]


def test_a_push_does_not_empty_a_file_to_which_its_lock_is_linked(tmp_path):
    theirs = tmp_path / "theirs"
    theirs.write_text("theirs")
    (tmp_path / "serving").mkdir()
    (tmp_path / "serving" / local_versions.LOCK_FILE).symlink_to(theirs)
    with pytest.raises(StorageError, match="a symbolic link, or no plain file"):
        push(tmp_path)
    assert theirs.read_text() == "theirs"


def test_a_push_does_not_write_its_note_over_links(tmp_path):
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (tmp_path / "serving").mkdir()
    (tmp_path / "serving" / ledger.FOLDER).symlink_to(theirs)
    with pytest.raises(StorageError, match="a symbolic link, or no plain file"):
        push(tmp_path, push_name="run.Pusher")
    assert list(theirs.iterdir()) == []


def test_a_note_that_is_a_link_is_not_read(tmp_path):
    (tmp_path / "version").write_text("1")
    notes = tmp_path / "serving" / ledger.FOLDER
    notes.mkdir(parents=True)
    (notes / "run.Pusher").symlink_to(tmp_path / "version")
    with pytest.raises(StorageError, match="a symbolic link, or no plain file"):
        push(tmp_path, push_name="run.Pusher")


@pytest.fixture
def linked_run_file(tmp_path):
    """Put a link to a file of somebody else's in the place of one of the run named `run`."""
    theirs = tmp_path / "theirs"
    theirs.write_text("theirs")

    def put(name: str) -> Path:
        folder = tmp_path / "root" / ".runs" / "run"
        folder.mkdir(parents=True)
        (folder / name).symlink_to(theirs)
        return theirs

    return put


@pipeline
def describing():
    return examples.Describes()


def test_a_node_whose_log_is_a_link_fails_and_says_why(run_pipeline, linked_run_file):
    theirs = linked_run_file("Describes.log")
    node = run_pipeline(describing, run_id="run").nodes["Describes"]
    assert node.state is State.FAILED
    assert "Describes.log: a symbolic link, or no plain file or folder, is in its" in node.error
    assert theirs.read_text() == "theirs"


def test_a_pipe_in_the_place_of_a_log_is_not_waited_for(run_pipeline, tmp_path):
    (tmp_path / "root" / ".runs" / "run").mkdir(parents=True)
    os.mkfifo(tmp_path / "root" / ".runs" / "run" / "Describes.log")
    assert run_pipeline(describing, run_id="run").nodes["Describes"].state is State.FAILED


@pytest.mark.parametrize("name", ["Describes.resources.jsonl", "report.html"])
def test_what_a_run_notes_beside_its_logs_is_not_written_over_links(
    run_pipeline, linked_run_file, name
):
    theirs = linked_run_file(name)
    assert run_pipeline(describing, run_id="run").succeeded
    assert theirs.read_text() == "theirs"


def test_a_node_that_knows_secrets_writes_no_log_over_a_link(
    run_pipeline, linked_run_file, monkeypatch
):
    monkeypatch.setenv("THE_SECRET", "abcdefgh")
    theirs = linked_run_file("Tells.log")

    @pipeline
    def secretive():
        return secret_components.Tells(token="${env:THE_SECRET}")

    node = run_pipeline(secretive, run_id="run").nodes["Tells"]
    assert "Tells.log: a symbolic link, or no plain file or folder, is in its" in node.error
    assert theirs.read_text() == "theirs"


def test_a_run_whose_folder_is_a_link_does_not_begin(run_pipeline, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "root" / ".runs").mkdir(parents=True)
    (tmp_path / "root" / ".runs" / "run").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PenstockError, match="leads to|a symbolic link"):
        run_pipeline(describing, run_id="run")
    assert list((tmp_path / "elsewhere").iterdir()) == []
