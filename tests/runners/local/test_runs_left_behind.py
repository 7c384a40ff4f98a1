"""A run whose process was killed before its first node began, as it is shown and gone on with."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from penstock.metadata.holders import Holder
from penstock.metadata.run_requests import run_state
from penstock.metadata.runs import find_context, find_run, list_runs
from penstock.metadata.store import connect, connection_config
from penstock.report.contents import read_run
from penstock.report.progress import Places, read_progress, store_version
from penstock.report.verdict import judge
from penstock.surfaces.cli.main import penstock
from penstock_support import killed_at_once
from penstock_support.processes import Family

pytestmark = pytest.mark.core


@pytest.fixture
def folder(tmp_path) -> Path:
    family = Family(killed_at_once.__file__, (str(tmp_path),))
    process = family.start()
    _, errors = process.communicate(timeout=60)
    assert process.returncode == -9, errors
    config = tmp_path / "penstock.toml"
    config.write_text(f'[profiles.default]\nmetadata = "{tmp_path / "metadata.sqlite"}"\n')
    return tmp_path


@pytest.fixture
def store(folder):
    with connect(connection_config(str(folder / "metadata.sqlite")), create=False) as metadata:
        yield metadata.store


def call(folder: Path, *arguments: str) -> str:
    told = CliRunner().invoke(penstock, ["--config", str(folder / "penstock.toml"), *arguments])
    assert told.exit_code == 0, told.output
    return told.output


def test_who_only_reads_sees_it_abandoned_though_nobody_has_written_so(store):
    assert run_state(find_context(store, "latest")) == "running"
    assert [run.state for run in list_runs(store)] == ["abandoned"]


def test_the_page_sees_it_abandoned_and_none_of_its_nodes_waiting(store):
    progress = read_progress(store, find_run(store, "latest").run_id, Places())
    assert progress.state == "abandoned"
    assert set(progress.nodes.values()) == {"not run"}


def test_its_verdict_is_that_nobody_works_on_it_and_how_to_go_on(store):
    verdict = judge(read_run(store, "latest"))
    assert (verdict.kind, verdict.title) == ("failed", "Abandoned")
    assert f"penstock resume {find_run(store, 'latest').run_id}" in verdict.reasons[0]


def test_the_lists_version_changes_when_the_process_is_gone(store, monkeypatch):
    gone = store_version(store)
    monkeypatch.setattr(Holder, "is_alive", lambda _: True)
    assert store_version(store) != gone


def test_a_lease_that_has_not_run_out_elsewhere_still_counts_as_running(store, monkeypatch):
    monkeypatch.setattr(Holder, "is_alive", lambda _: None)
    assert find_run(store, "latest").state == "running"


def test_a_lease_that_has_run_out_elsewhere_does_not(store, monkeypatch):
    monkeypatch.setattr(Holder, "is_alive", lambda _: None)
    monkeypatch.setattr("penstock.metadata.turns.time.time", lambda: 1e12)
    assert find_run(store, "latest").state == "abandoned"


def test_the_next_command_marks_it_so(folder, store):
    call(folder, "runs")
    assert run_state(find_context(store, "latest")) == "abandoned"


def test_a_command_that_shows_it_says_how_to_go_on(folder, store):
    call(folder, "runs")  # which says so too
    run_id = find_run(store, "latest").run_id
    assert f"go on: penstock resume {run_id}" in call(folder, "show", run_id)
