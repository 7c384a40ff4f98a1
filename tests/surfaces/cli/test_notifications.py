"""What runs come to is told to sinks: by the run itself, or by who delivers next."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from penstock.errors import ConfigError
from penstock.operations.alerts.outcomes import SUCCEEDED
from penstock.operations.alerts.outcomes_on_kubeflow import outcomes_on
from penstock.project.config import read_config
from penstock.testing.kubeflow import FakePipelines
from penstock_support import command
from penstock_support.kubeflow_service import await_end, begin_greeting

CONFIG = """
[pipelines]
small = "small.py:small"
[profiles.default]
pipeline_root = "root"
[sinks.log]
kind = "file"
path = "alerts.jsonl"
[notifications.small]
"""
SMALL = """
from penstock import component, pipeline


@component
def Half(value: int) -> float:
    return 1 / value


@pipeline
def small(value: int = 0):
    return Half(value=value)
"""

pytestmark = pytest.mark.core


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "penstock.toml").write_text(CONFIG)
    (tmp_path / "small.py").write_text(SMALL)
    return tmp_path


def run(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, command.__file__, "run", "small", *options],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def told(folder: Path) -> list[str]:
    path = folder / "alerts.jsonl"
    messages = map(json.loads, path.read_text().splitlines() if path.exists() else ())
    return [f"{a['change']} {a['name']}" for message in messages for a in message["alerts"]]


def test_a_run_that_fails_tells_it_and_one_that_succeeds_that_it_is_over(folder):
    failed = run(folder)
    assert "told       log" in failed.stderr
    run(folder, "-p", "value=1")
    assert told(folder) == ["raised small.run", "resolved small.run"]


def test_json_on_standard_output_stays_json(folder):
    assert json.loads(run(folder, "--json").stdout)["state"] == "failed"


def test_who_cannot_be_told_is_said_and_the_run_ends_as_it_would(folder):
    (folder / "alerts.jsonl").mkdir()
    failed = run(folder)
    assert "told       not log: " in failed.stderr
    assert failed.returncode == 1


def test_a_pipeline_that_there_is_not_is_refused(folder):
    path = folder / "penstock.toml"
    path.write_text(CONFIG.replace("[notifications.small]", "[notifications.smal]"))
    with pytest.raises(ConfigError, match="no pipeline 'smal'.*Did you mean 'small'"):
        read_config(path)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('failed = "bad"', "expected failed of info, warning, critical, or nothing, got 'bad'"),
        ('sinks = ["team"]', "there is no sink 'team'"),
        ('success = "info"', "'success' is not known"),
    ],
)
def test_what_a_notification_does_not_have_is_refused(folder, line, message):
    path = folder / "penstock.toml"
    path.write_text(CONFIG + line)
    with pytest.raises(ConfigError, match=message):
        read_config(path)


def test_on_kubeflow_the_server_says_how_runs_have_ended(folder):
    with FakePipelines() as server:
        service, run_id = begin_greeting(server.host)
        await_end(service, run_id)
        path = folder / "penstock.toml"
        path.write_text(f'{CONFIG}[profiles.cluster.kubeflow]\nhost = "{server.host}"\n')
        found = outcomes_on(read_config(path).profile("cluster"), ["greeting", "unknown"])
    assert [(each.run_id, each.state) for each in found["greeting"]] == [(run_id, SUCCEEDED)]
    assert found["unknown"] == []
