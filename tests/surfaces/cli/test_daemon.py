from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from penstock.execution.daemon import asking
from penstock.surfaces.cli.main import penstock
from penstock_support.processes import wait_until

PIPELINE = '''
from penstock import component, pipeline


@component(preload=("numpy",))
def Adds(a: int) -> int:
    """Add one."""
    return a + 1


@pipeline
def adds(a: int = 1):
    return Adds(a=a)
'''


def said(*arguments: str) -> str:
    done = CliRunner().invoke(penstock, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture
def project(tmp_path, monkeypatch):
    (tmp_path / "runtime").mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "runtime"))
    monkeypatch.setenv(asking.VARIABLE, "on")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "penstock.toml").write_text(
        '[pipelines]\nadds = "a_project_with_a_daemon.py:adds"\n[daemon]\nidle_minutes = 5\n'
    )
    (tmp_path / "a_project_with_a_daemon.py").write_text(PIPELINE)
    yield tmp_path
    asking.stop(str(tmp_path))


def test_a_project_without_a_daemon(project):
    assert said("daemon", "status") == f"There is no daemon for {project}.\n"
    assert said("daemon", "stop") == f"There is no daemon for {project}.\n"
    assert json.loads(said("daemon", "status", "--json")) is None


def test_a_daemon_from_its_start_to_its_end(project):
    started = said("daemon", "start")
    assert "imported   numpy" in started
    assert "ends       5 minutes after the last run" in started
    said("run", "adds", "--no-daemon")
    assert json.loads(said("daemon", "status", "--json"))["lent"] == 0
    said("run", "adds", "--no-cache")
    status = json.loads(said("daemon", "status", "--json"))
    assert status["lent"] >= 1
    assert "ends" in said("daemon", "stop")
    wait_until(lambda: asking.status_of(str(project)) is None)


def test_the_doctor_says_how_the_daemon_is(project, monkeypatch):
    from penstock.project.config import read_config
    from penstock.surfaces.cli.daemon_examined import daemon

    config = read_config(Path(project, "penstock.toml"))
    assert daemon(config).state == "unused"
    said("daemon", "start")
    found = daemon(config)
    assert (found.state, "numpy imported" in found.found) == ("fine", True)
    monkeypatch.setenv("TF_SOMETHING", "1")
    assert "TF_SOMETHING" in daemon(config).advice


def test_idle_minutes_of_nothing_are_refused(project):
    (project / "penstock.toml").write_text("[daemon]\nidle_minutes = 0\n")
    done = CliRunner().invoke(penstock, ["daemon", "status"])
    assert "expected idle_minutes above 0, got 0" in str(done.exception)
