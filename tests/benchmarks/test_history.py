"""The stores that the benchmark of history writes are as runs would have left them."""

from __future__ import annotations

import importlib
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from penstock.metadata import attempts
from penstock.metadata.garbage.planning import Policy, plan_collection
from penstock.metadata.runs import list_runs
from penstock.metadata.store import connect, connection_config

RECIPES = Path(__file__).parents[2] / "build" / "benchmarks"


@pytest.fixture
def history(monkeypatch):
    monkeypatch.syspath_prepend(str(RECIPES))
    yield importlib.import_module("history")
    sys.modules.pop("history")


@pytest.fixture
def project(history, tmp_path):
    made = history.Project(tmp_path, str(tmp_path / "metadata.sqlite"))
    made.prepare(5)
    return made


@pytest.fixture
def store(project):
    with connect(connection_config(project.store), create=False) as metadata:
        yield metadata.store


def test_its_runs_are_read_with_all_their_nodes(history, store):
    runs = list_runs(store)
    assert [run.state for run in runs] == ["done"] * 5
    assert {node.node_id for node in runs[0].nodes} == set(history.NODES)
    assert {run.pipeline_name for run in runs} == {history.PIPELINE}


def test_its_attempts_have_ended(store):
    assert len(attempts.read_recent(store).contexts) == 5
    assert attempts.read_recent(store).running() == []


def test_what_its_older_runs_made_can_be_removed(project, store):
    planned = plan_collection(
        store, lambda name: str(project.folder / "roots" / name), Policy(3, timedelta(0))
    )
    assert len(planned.removals) == 2 * 6
