"""Our components under TFX's runner, TFX's components under ours, and one store for both."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from penstock._tfx import metadata, metadata_store_pb2
from penstock.metadata.attempts import ATTEMPT_CONTEXT
from penstock.metadata.lineage import ancestors, descendants, find_artifact
from penstock.metadata.runs import list_runs
from penstock.metadata.store import connect, connection_config
from penstock_support import PROGRAMS

SCRIPT = PROGRAMS / "tfx_pipelines.py"
LAYOUT = {
    "CsvExampleGen/examples/Split-train/data_tfrecord-00000-of-00001.gz",
    "CsvExampleGen/examples/Split-eval/data_tfrecord-00000-of-00001.gz",
    "StatisticsGen/statistics/Split-train/FeatureStats.pb",
    "StatisticsGen/statistics/Split-eval/FeatureStats.pb",
    "SchemaGen/schema/schema.pbtxt",
    "ExampleValidator/anomalies/Split-train/SchemaDiff.pb",
    "ExampleValidator/anomalies/Split-eval/SchemaDiff.pb",
}


def run(runner: str, pipeline: str, folder: Path) -> SimpleNamespace:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(SCRIPT), runner, pipeline, str(folder)],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return SimpleNamespace(folder=folder, output=done.stdout, store=folder / "metadata.sqlite")


def files(folder: Path) -> set[str]:
    """Return the files of all artifacts, without the numbers of their executions."""
    found = set()
    for path in (folder / "root").rglob("*"):
        parts = path.relative_to(folder / "root").parts
        if path.is_file() and not any(part.startswith(".") for part in parts):
            found.add("/".join((*parts[:2], *parts[3:])))
    return found


@pytest.fixture(scope="module")
def tfx_under_ours(tmp_path_factory):
    return run("ours", "tfx_examples", tmp_path_factory.mktemp("tfx_under_ours"))


@pytest.fixture(scope="module")
def ours_under_tfx(tmp_path_factory):
    return run("tfx", "our_examples", tmp_path_factory.mktemp("ours_under_tfx"))


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    return run("ours", "taxi_template", tmp_path_factory.mktemp("template"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return run("ours", "whole_taxi", tmp_path_factory.mktemp("whole"))


def test_tfx_trains_and_evaluates_in_copies_of_the_script_s_process(whole):
    states = json.loads(whole.output.splitlines()[-1])
    assert set(states.values()) == {"done"}, states
    [log] = whole.folder.rglob(".workers.log")
    assert "copies of the process that runs the pipeline" in log.read_text()


def test_tfx_components_run_under_our_runner(tfx_under_ours):
    assert set(json.loads(tfx_under_ours.output.splitlines()[-1]).values()) == {"done"}


def test_our_components_run_under_tfx_s_runner(ours_under_tfx):
    with connect(connection_config(str(ours_under_tfx.store))) as opened:
        states = {e.last_known_state for e in opened.store.get_executions()}
    assert states == {metadata_store_pb2.Execution.COMPLETE}


@pytest.mark.parametrize("made", ["tfx_under_ours", "ours_under_tfx"])
def test_artifacts_stand_in_tfx_s_layout(made, request):
    assert files(request.getfixturevalue(made).folder) == LAYOUT


def test_both_example_gens_make_the_same_examples(tfx_under_ours, ours_under_tfx):
    from penstock.data.records import read_serialized, record_files

    def split(made, name):
        [examples] = (made.folder / "root" / "CsvExampleGen" / "examples").iterdir()
        return sorted(read_serialized(record_files(str(examples / f"Split-{name}"))))

    for name in ("train", "eval"):
        assert len(split(tfx_under_ours, name)) == len(split(ours_under_tfx, name)) > 0


def test_a_run_under_tfx_s_runner_is_listed_as_ours_are(ours_under_tfx):
    with connect(connection_config(str(ours_under_tfx.store))) as opened:
        [record] = list_runs(opened.store)
    assert (record.pipeline_name, record.state) == ("our-examples", "done")
    assert [node.node_id for node in record.nodes] == [
        "CsvExampleGen",
        "StatisticsGen",
        "SchemaGen",
        "ExampleValidator",
    ]


def test_lineage_is_traced_through_a_run_under_tfx_s_runner(ours_under_tfx):
    [anomalies] = (ours_under_tfx.folder / "root" / "ExampleValidator" / "anomalies").iterdir()
    with connect(connection_config(str(ours_under_tfx.store))) as opened:
        found = find_artifact(opened.store, str(anomalies))
        up = ancestors(opened.store, found.artifact_id)
        examples = next(a for a in up.artifacts() if a.type_name == "Examples")
        down = descendants(opened.store, examples.artifact_id)
    nodes = [row.maker.node.node_id for row in up.rows()]
    assert nodes == [
        "ExampleValidator",
        "SchemaGen",
        "StatisticsGen",
        "CsvExampleGen",
        "StatisticsGen",
    ]
    assert [a.type_name for a in down.artifacts()] == [
        "Examples",
        "ExampleStatistics",
        "Schema",
        "ExampleAnomalies",
    ]


def test_tfx_finds_the_artifacts_of_our_runs(tfx_under_ours):
    config = metadata.sqlite_metadata_connection_config(str(tfx_under_ours.store))
    with metadata.Metadata(config) as handle:
        [examples] = handle.store.get_artifacts_by_type("Examples")
        contexts = {c.name for c in handle.store.get_contexts_by_artifact(examples.id)}
    assert {"tfx-examples", "tfx-examples.CsvExampleGen"} <= contexts
    assert examples.properties["split_names"].string_value == '["train", "eval"]'


def test_both_runners_write_the_same_kinds_of_metadata(tfx_under_ours, ours_under_tfx):
    def kinds(made):
        with connect(connection_config(str(made.store))) as opened:
            store = opened.store
            events = {
                (event.type, event.path.steps[0].key)
                for execution in store.get_executions()
                for event in store.get_events_by_execution_ids([execution.id])
            }
            # Attempts at runs are ours alone; nobody reads them but by name.
            contexts = {t.name for t in store.get_context_types()} - {ATTEMPT_CONTEXT}
            return events, contexts, {t.name for t in store.get_artifact_types()}

    assert kinds(tfx_under_ours) == kinds(ours_under_tfx)


def test_tfx_s_taxi_template_runs_to_its_end(template):
    states = json.loads(template.output.splitlines()[-1])
    assert set(states.values()) == {"done"}


def test_tfx_s_taxi_template_leaves_what_it_leaves_under_tfx_s_runner(template):
    assert files(template.folder) >= {path for path in LAYOUT if "CsvExampleGen" in path}


def test_the_module_file_of_a_tfx_component_is_found_by_the_processes_of_beam_s_workers(tmp_path):
    made = run("ours", "other_processes", tmp_path)
    states = json.loads(made.output.splitlines()[-1])
    assert set(states.values()) == {"done"}


def test_a_file_with_a_pipeline_of_tfx_is_run_by_its_name_alone(tmp_path):
    """By `penstock run`, whose own imports come before those of TFX."""
    (tmp_path / "data").mkdir()
    rows = "".join(f"{n},{n % 3}\n" for n in range(30))
    (tmp_path / "data" / "rows.csv").write_text(f"a,b\n{rows}")
    (tmp_path / "theirs.py").write_text(
        "from tfx import v1 as tfx\n"
        "def create_pipeline(root='root'):\n"
        "    gen = tfx.components.CsvExampleGen(input_base='data')\n"
        "    return tfx.dsl.Pipeline('theirs', root, components=[gen])\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "penstock", "run", "theirs.py"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert [line.split()[:2] for line in done.stderr.splitlines()] == [
        ["theirs", "run"],
        ["CsvExampleGen", "running"],
        ["CsvExampleGen", "done"],
    ]
