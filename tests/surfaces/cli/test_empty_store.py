"""An empty file stands for a store without runs, as it does for SQLite and for TFX."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest

from penstock_support import IMPORT_PATH


@pytest.fixture
def project(tmp_path):
    (tmp_path / "mine.py").write_text(
        f"import sys\nsys.path.insert(0, {IMPORT_PATH!r})\n"
        "from penstock import component, pipeline\n"
        "from penstock import Output\n"
        "from penstock.artifacts import Integer\n"
        "from pathlib import Path\n\n\n"
        "@component\ndef Waits(number: Output[Integer], path: str):\n"
        "    if not Path(path).exists():\n"
        "        raise RuntimeError('not yet')\n"
        "    number.value = 1\n\n\n"
        f"@pipeline\ndef waiting():\n    return [Waits(path={str(tmp_path / 'ready')!r})]\n"
    )
    (tmp_path / "penstock.toml").write_text(
        '[pipelines]\nwaiting = "mine.py:waiting"\n'
        '[profiles.default]\nmetadata = "sqlite:///store.sqlite"\n'
    )
    (tmp_path / "store.sqlite").touch()
    return tmp_path


@pytest.fixture
def penstock(project):
    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-W", "ignore", "-m", "penstock", *arguments],
            cwd=project,
            capture_output=True,
            text=True,
            check=False,
        )

    return call


def test_a_run_makes_a_store_of_it_that_has_the_run(project, penstock):
    (project / "ready").touch()
    done = penstock("run", "waiting")
    assert done.returncode == 0, done.stderr
    assert [run["state"] for run in json.loads(penstock("runs", "--json").stdout)] == ["done"]


def test_a_run_that_failed_in_it_goes_on(project, penstock):
    assert penstock("run", "waiting").returncode == 1
    (project / "ready").touch()
    done = penstock("resume")
    assert done.returncode == 0, done.stderr
    assert re.search("Waits +done", done.stderr)


def test_a_plan_has_all_nodes_run_and_leaves_it_empty(project, penstock):
    done = penstock("plan", "waiting")
    assert done.returncode == 0, done.stderr
    assert re.search("Waits +run", done.stdout)
    assert (project / "store.sqlite").read_bytes() == b""


def test_doctor_says_that_the_first_run_makes_the_store(penstock):
    done = penstock("doctor", "--json")
    [store] = [finding for finding in json.loads(done.stdout) if finding["name"] == "store"]
    assert store["state"] == "fine"
    assert store["found"].endswith("store.sqlite, which the first run makes")


@pytest.mark.parametrize("command", [("runs",), ("resume",), ("show", "latest"), ("gc",)])
def test_commands_that_look_for_runs_say_that_there_is_no_store(project, penstock, command):
    done = penstock(*command)
    assert done.returncode == 2
    assert done.stderr == (
        f"error: there is no metadata store at {project / 'store.sqlite'}. "
        "It is made by the first run: penstock run PIPELINE.\n"
    )
