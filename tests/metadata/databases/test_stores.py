"""The same facts of every kind of store, with the real servers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import datetime, timedelta

import pytest

from penstock import LocalRunner
from penstock._tfx import metadata_store_pb2
from penstock.metadata.garbage.planning import Policy
from penstock.metadata.garbage.removal import collect
from penstock.metadata.lineage import ancestors, find_artifact
from penstock.metadata.runs import find_run, list_runs
from penstock.metadata.store import connect, connection_config
from penstock.runners.local.display import Silent
from penstock_support import IMPORT_PATH, PROGRAMS, limited_components
from penstock_support.example_components import training
from penstock_support.histories import History

ARTIFACT = metadata_store_pb2.Artifact
ARTIFACT_TYPE = metadata_store_pb2.ArtifactType
CONTEXT_TYPE = metadata_store_pb2.ContextType
CONTEXT = metadata_store_pb2.Context


def run(address, folder, **parameters):
    runner = LocalRunner(
        pipeline_root=str(folder), metadata=address, parallelism=2, display=Silent()
    )
    return runner.run(training, parameters=parameters)


def at_once(program: str, *arguments: str):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(PROGRAMS / program), *arguments],
        env={**os.environ, "PYTHONPATH": IMPORT_PATH},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), done.stderr


@pytest.fixture(scope="module")
def address(new_address):
    return new_address()


@pytest.fixture(scope="module")
def folder(address, tmp_path_factory):
    return tmp_path_factory.mktemp("root")


@pytest.fixture(scope="module")
def first(address, folder):
    return run(address, folder)


@pytest.fixture(scope="module")
def second(first, address, folder):
    return run(address, folder)


@pytest.fixture
def opened(address, first):
    with connect(connection_config(address)) as metadata:
        yield metadata.store


def test_a_run_makes_the_store_and_succeeds(first):
    assert first.succeeded


def test_a_second_run_is_cached(second):
    assert {node.state.value for node in second.nodes.values()} == {"cached"}


def test_lineage_is_traced_to_the_run_that_really_made_it(first, second, opened):
    found = find_artifact(opened, f"{second.run_id}/TrainModel/model")
    rows = list(ancestors(opened, found.artifact_id).rows())
    assert [row.maker.node.node_id for row in rows] == ["TrainModel", "MakeExamples"]
    assert {row.maker.run_id for row in rows} == {first.run_id}


def test_what_nobody_needs_is_removed_and_what_is_blessed_stays(new_address, tmp_path):
    with connect(connection_config(new_address())) as metadata:
        history = History(metadata.store, tmp_path)
        for run, blessed in (("old", 0), ("blessed", 1)):
            model = history.execute(run, "Trainer", {}, {"model": "Model"})["model"]
            history.execute(
                run,
                "Evaluator",
                {"model": [model]},
                {"blessing": "ModelBlessing"},
                properties={"blessing": {"blessed": blessed}},
            )
        later = datetime.now() + timedelta(days=60)
        root = str(tmp_path / "p")
        done = collect(metadata.store, lambda _: root, Policy(keep_last=0), now=later)
        states = [a.state for a in metadata.store.get_artifacts_by_type("Model")]
    assert len(done.removed) == 2
    assert states == [ARTIFACT.DELETED, ARTIFACT.LIVE]


def test_runs_are_listed_newest_first(first, second, opened):
    assert [r.run_id for r in list_runs(opened)] == [second.run_id, first.run_id]


def test_a_run_is_found_with_its_parameters(first, opened):
    assert find_run(opened, first.run_id).parameters["rate"] == 0.25


def test_names_and_texts_come_back_as_they_were(opened):
    type_id = opened.put_context_type(CONTEXT_TYPE(name="texts"))
    text = "Füße, 数据, 🚰 and 'quotes' \\ \"too\" $0 %s;\n"
    context = CONTEXT(type_id=type_id, name="数据 🚰 '\\")
    context.custom_properties["short"].string_value = text
    context.custom_properties["long"].string_value = text * 2500
    [context_id] = opened.put_contexts([context])
    [found] = opened.get_contexts_by_id([context_id])
    assert found.name == context.name
    assert found.custom_properties == context.custom_properties


def test_names_that_differ_by_case_alone_are_different(opened):
    types = [opened.put_artifact_type(ARTIFACT_TYPE(name=name)) for name in ("Cased", "cased")]
    assert len(set(types)) == 2


def test_eight_runs_started_at_once_on_a_new_store_all_succeed(new_address, tmp_path):
    address = new_address()
    results, errors = at_once("runs_at_once.py", address, str(tmp_path), "8")
    assert [(r["state"], r["errors"]) for r in results] == [("done", [])] * 8
    assert errors == ""
    with connect(connection_config(address), create=False) as metadata:
        records = list_runs(metadata.store)
    assert {r.run_id for r in records} == {r["run"] for r in results}
    assert len(records) == 8


def test_of_runs_with_a_limit_that_start_at_once_no_more_are_under_way(new_address, tmp_path):
    arguments = ("counts", new_address(), str(tmp_path), "4", "1")
    results, errors = at_once("limited_components.py", *arguments)
    assert [state for _, state in results] == ["done"] * 4
    assert limited_components.counted(tmp_path) == [1] * 4
    assert errors == ""


def test_processes_that_make_the_same_types_and_contexts_at_once_get_the_same_ids(new_address):
    results, errors = at_once("types_at_once.py", new_address(), "6", "8")
    assert len(results) == 6
    assert [found for found in results if found != results[0]] == []
    assert errors == ""


def test_localhost_is_reached_over_its_port(mariadb):
    address = mariadb.address("reached_by_name").replace("127.0.0.1", "localhost")
    with connect(connection_config(address)) as metadata:
        assert metadata.store.get_contexts() == []
