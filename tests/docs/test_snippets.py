"""Every command and code block of the pages is run, those of the tutorial first, in one project."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from penstock.execution.daemon import asking
from penstock.surfaces.cli.project import SAMPLE
from penstock_support import pages

TUTORIAL = pages.ROOT / "docs" / "tutorial.md"
BLOCKS = [
    block
    for page in sorted(pages.PAGES, key=lambda page: page != TUTORIAL)
    for block in pages.blocks(page)
    if not block.not_run
]
COMMANDS = [block for block in BLOCKS if block.language == pages.COMMANDS]
PYTHON = [block for block in BLOCKS if block.language == "python"]

RUN_SCRIPTS = """
import json, runpy, sys, traceback
said = {}
for script in sys.argv[2:]:
    try:
        runpy.run_path(script, run_name="__main__")
    except BaseException:
        said[script] = traceback.format_exc()
with open(sys.argv[1], "w") as file:
    json.dump(said, file)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The reader's folder, with a CSV file in it."""
    folder = tmp_path_factory.mktemp("reader")
    shutil.copy(SAMPLE, folder / "customers.csv")
    return folder


@pytest.fixture(scope="module")
def environment(folder):
    """The reader's environment; warm workers, which a reader has as well, are below their HOME."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    apart = {k: v for k, v in os.environ.items() if k not in ("XDG_RUNTIME_DIR", "XDG_CACHE_HOME")}
    own = {"PATH": path, "HOME": str(folder), asking.VARIABLE: "on"}
    return {**apart, **own, "PYTHONWARNINGS": "ignore"}


@pytest.fixture(scope="module")
def commands(folder, environment):
    """What came of each block of commands, run one after the other as a reader would."""
    yield run_commands(folder, environment)
    for config in folder.rglob("penstock.toml"):
        stop = [sys.executable, "-m", "penstock", "daemon", "stop"]
        subprocess.run(stop, cwd=config.parent, env=environment, capture_output=True, check=True)


def run_commands(folder, environment):
    place, came = folder, {}
    for block in COMMANDS:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", f"{block.commands}\npwd > {folder}/.place"],
            cwd=place,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode == 0:
            place = Path((folder / ".place").read_text().strip())
        came[str(block)] = done
    return came


@pytest.fixture(scope="module")
def python(folder, environment, commands):
    """What each block of Python raised, run in the project that the tutorial has made."""
    scripts = {}
    for number, block in enumerate(PYTHON):
        script = folder / f"block_{number}.py"
        script.write_text(block.text)
        scripts[str(script)] = str(block)
    done = subprocess.run(
        [sys.executable, "-c", RUN_SCRIPTS, str(folder / "said.json"), *scripts],
        cwd=folder / "churn",
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = json.loads((folder / "said.json").read_text())
    return {block: said.get(script) for script, block in scripts.items()}


@pytest.mark.parametrize("block", COMMANDS, ids=str)
def test_commands_do_what_the_page_says(block, commands):
    done = commands[str(block)]
    assert done.returncode == block.exit_code, done.stdout + done.stderr


@pytest.mark.parametrize("block", PYTHON, ids=str)
def test_python_runs(block, python):
    assert python[str(block)] is None, python[str(block)]


def test_the_tutorial_s_first_run_blesses_and_pushes(commands):
    [said] = [
        commands[str(b)].stdout for b in COMMANDS if "doctor" in b.text and b.page == TUTORIAL
    ]
    assert "blessed    yes" in said
    assert "pushed     serving/churn/" in said


def test_the_tutorial_s_bad_row_is_named_with_its_column_and_value(commands):
    [said] = [commands[str(b)].stderr for b in COMMANDS if b.exit_code and b.page == TUTORIAL]
    assert "ExampleValidator failed" in said
    assert "Contract" in said
    assert "weekly" in said


def test_the_tutorial_s_last_run_is_not_blessed(commands):
    [said] = [commands[str(b)].stdout for b in COMMANDS if "minimum_auc=0.999" in b.text]
    assert "blessed    no" in said
