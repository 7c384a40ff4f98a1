"""Requests that name what is not there, or are of the wrong type, on the command line."""

from __future__ import annotations

import logging
import shutil
import sqlite3
import sys

import pytest

from penstock_support import IMPORT_PATH

MINE = f"""
import sys
sys.path.insert(0, {IMPORT_PATH!r})
from penstock_support import example_components as examples
from penstock_support.example_components import training
from penstock import pipeline

@pipeline
def circle():
    made = examples.MakeExamples()
    trained = examples.TrainModel(examples=made.outputs["examples"])
    made.add_upstream_node(trained)
    return [made, trained]

@pipeline
def twins():
    return [examples.MakeExamples(), examples.MakeExamples()]

@pipeline
def mistyped():
    return examples.MakeExamples(rows="many")

@pipeline
def misnamed():
    return examples.MakeExamples(row=3)

@pipeline
def raising():
    return [examples.MakeExamples(rows=1 // 0)]

@pipeline
def demanding(rows: int):
    return examples.MakeExamples(rows=rows)

def plain():
    return [examples.MakeExamples()]
"""
NAMES = (
    "training",
    "circle",
    "twins",
    "mistyped",
    "misnamed",
    "demanding",
    "raising",
    "plain",
    "absent",
)
CONFIG = (
    "[pipelines]\n"
    + "".join(f'{name} = "mine.py:{name}"\n' for name in NAMES)
    + 'broken = "broken.py:broken"\nnowhere = "nowhere.py:nowhere"\n'
    + '[profiles.wrong.parameters.training]\nrows = "many"\n'
    + "[profiles.other.parameters.training]\nrose = 3\n"
    + '[profiles.rubbish]\nmetadata = "rubbish.sqlite"\n'
    + '[profiles.newer]\nmetadata = "newer.sqlite"\n'
    + '[profiles.unreachable]\nmetadata = "mysql://somebody@127.0.0.1:1/penstock"\n'
)

WRONG = [
    ("run trainin", ["there is no pipeline 'trainin'", "Did you mean 'training'?"]),
    ("run absent", ["mine.py", "absent"]),
    ("run nowhere", ["nowhere.py"]),
    ("run broken", ["broken.py:2", "ModuleNotFoundError: No module named 'no_such_package'"]),
    ("run raising", ["raising failed: ZeroDivisionError", "mine.py:29)", "rows=1 // 0"]),
    ("run plain", ["@pipeline"]),
    ("run training --only TrainModle", ["no node 'TrainModle'", "Did you mean 'TrainModel'?"]),
    ("run training --from Reprot", ["--from: pipeline training has no node 'Reprot'", "'Report'?"]),
    ("run training -p step=1", ["no parameter 'step'", "Did you mean 'steps'?"]),
    ("run training -p steps=many", ["parameter 'steps': expected int, got 'many'"]),
    ("run training -p rate=fast", ["parameter 'rate': expected float, got 'fast'"]),
    ("run training -p verbose=perhaps", ["expected true or false, got 'perhaps'"]),
    ("run training -p steps", ["expected NAME=VALUE after -p, got 'steps'"]),
    ("run training --profile othr", ["no profile 'othr'", "Did you mean 'other'?"]),
    ("run training --profile wrong", ["parameter 'rows': expected int, got 'many' (str)"]),
    ("run training --profile other", ["no parameter 'rose'", "Did you mean 'rows'?"]),
    ("run demanding", ["needs the parameter 'rows' (int)", "-p rows=VALUE"]),
    ("run mistyped", ["MakeExamples.rows: expected int, got 'many' (str)"]),
    ("run misnamed", ["MakeExamples has no input or parameter 'row'", "Did you mean 'rows'?"]),
    ("run circle", ["its nodes form a cycle: ", "MakeExamples -> TrainModel", "own output"]),
    ("run twins", ["pipeline twins has two nodes 'MakeExamples'", '.with_id("another_name")']),
    ("show no-such-run", ["there is no run 'no-such-run'"]),
    ("resume no-such-run", ["there is no run 'no-such-run'"]),
    ("compare latest no-such-run", ["there is no run 'no-such-run'"]),
]


@pytest.fixture(scope="module")
def folder(project):
    (project.folder / "mine.py").write_text(MINE)
    (project.folder / "broken.py").write_text("\nimport no_such_package\n")
    (project.folder / "penstock.toml").write_text(
        f'{CONFIG}[profiles.default]\npipeline_root = "root"\nmetadata = "metadata.sqlite"\n'
    )
    return project.folder


@pytest.fixture
def ask(folder, monkeypatch, capfd):
    """Call the command line in this process; return the exit code and what it says."""
    from penstock.surfaces.cli.main import main

    monkeypatch.chdir(folder)
    level = logging.getLogger("absl").level

    def call(line: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["penstock", *line.split()])
        with pytest.raises(SystemExit) as exit_:
            main()
        shown = capfd.readouterr()
        return exit_.value.code, shown.err + shown.out

    yield call
    logging.getLogger("absl").setLevel(level)


@pytest.fixture(scope="module")
def good(project, folder):
    """What a good run has left in the project, and the states of its executions."""
    from penstock_support import example_components as examples

    assert project.run(examples.training).succeeded
    return project.published(), project.executions()


@pytest.mark.parametrize(("line", "parts"), WRONG, ids=[line for line, _ in WRONG])
def test_a_wrong_request_is_answered_and_changes_nothing(ask, project, good, line, parts):
    code, said = ask(line)
    assert code == 2, said
    for part in parts:
        assert part in said
    assert "Traceback" not in said
    assert (project.published(), project.executions()) == good


STORES = {
    "rubbish": ["rubbish.sqlite cannot be used: the file is no SQLite database"],
    "newer": ["newer.sqlite is of schema version 99, and the installed ml-metadata"],
    "unreachable": ["127.0.0.1:1", "cannot be reached"],
}


@pytest.mark.parametrize("profile", STORES)
def test_a_store_that_cannot_be_used_is_named_by_a_run(ask, project, good, profile):
    folder = project.folder
    (folder / "rubbish.sqlite").write_text("no database")
    shutil.copy(folder / "metadata.sqlite", folder / "newer.sqlite")
    with sqlite3.connect(folder / "newer.sqlite") as database:
        database.execute("UPDATE MLMDEnv SET schema_version = 99")
    code, said = ask(f"run training --profile {profile}")
    assert code == 2, said
    for part in STORES[profile]:
        assert part in said
    assert "Traceback" not in said
    assert (project.published(), project.executions()) == good
