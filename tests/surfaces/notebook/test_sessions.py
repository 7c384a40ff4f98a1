"""A session in IPython: running, changing, restoring, exporting."""

from __future__ import annotations

import subprocess
import sys

import pytest

IMPORTS = """
from penstock import Input, Output, component
from penstock.artifacts import Model
from penstock.notebook import Session
session = Session("birds")
"""
MAKE = """
FACTOR = 2
@component
def Make(model: Output[Model], count: int = 2) -> int:
    # what is printed is the node's log
    print("making")
    return count * FACTOR
make = session.run(Make(count=session.parameter("count", 3)))
make
"""
USE = """
@component
def Use(model: Input[Model], number: int) -> str:
    return f"{number} of {model.type_name}"
use = session.run(Use(model=make.outputs["model"], number=make.outputs["output"]))
use
"""
BREAK = """
def helper(number):
    return 1 // number
@component
def Break(number: int) -> int:
    return helper(number)
session.run(Break(number=0))
"""
BAD = """
@component
def Bad() -> str:
    return session.name
session.run(Bad())
"""
IMPORT = """
from tfx.dsl.components.common.importer import Importer
imported = session.run(Importer(source_uri="there", artifact_type=Model))
imported
"""
TAKE = """
@component
def Takes(model: Input[Model]) -> str:
    return model.uri
session.run(Takes(model=imported.outputs["result"]))
"""
EXPORT = 'exported = session.export("birds.py")\nexported'


def states(folder, *arguments):
    """Run a pipeline file by the command line; return the nodes' states."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "penstock", "run", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return dict(line.split()[:2] for line in done.stderr.splitlines()[1:] if line.strip())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("session")


@pytest.fixture(scope="module")
def first(folder, run_cells):
    """A notebook that is run from its top to its end; its later cells change earlier ones."""
    again = USE.replace("of", "kinds of")
    cells = {
        "imports": IMPORTS,
        "no node": "session.run(3)",
        "not run": USE.replace("make.outputs", "Make().outputs"),
        "make": MAKE,
        "run": "make.ran.run_id",
        "again": MAKE,
        "use": USE,
        "broken": BREAK,
        "bad": BAD,
        "session": "session",
        "changed": again,
        "made anew": MAKE.replace("R = 2", "R = 5"),
        "deleted": "del Bad",
        "stale": "session",
        "stale export": EXPORT,
        "update": 'session.parameter("count", 4)\nsession.update()',
        "export": EXPORT,
    }
    cells["not run"] = MAKE.partition("make = ")[0] + cells["not run"]
    return dict(zip(cells, run_cells(folder, *cells.values()), strict=True))


def test_a_cell_s_component_runs_with_the_session_s_parameters(first):
    assert first["make"].shown.startswith("Make done in ")
    assert "output: Integer\n  6" in first["make"].shown


def test_the_same_cell_again_comes_from_the_cache(first):
    assert first["again"].shown.startswith("Make cached")


def test_a_node_takes_what_another_has_made(first):
    assert "'6 of Model'" in first["use"].shown


def test_outputs_are_drawn_as_html_too(first):
    assert "<h4>output: String</h4>" in first["use"].html
    assert "http" not in first["use"].html


def test_a_failure_is_told_by_the_user_s_own_lines(first):
    told = first["broken"].printed
    assert "NodeFailed: Break failed: ZeroDivisionError" in told
    assert "return 1 // number" in told
    assert "session.run(Break(number=0))" in told
    for ours in ("session.py", "runner.py", "workers.py"):
        assert ours not in told


def test_a_component_that_cannot_stand_in_a_module_blocks_no_other(first):
    assert "which is only in this notebook" in first["bad"].printed
    assert first["changed"].shown.startswith("Use done")
    assert first["made anew"].shown.startswith("Make done")


def test_what_failed_is_no_part_of_the_session(first):
    assert "Make" in first["session"].shown
    assert "Break" not in first["session"].shown


def test_a_changed_component_runs_again(first):
    assert first["changed"].shown.startswith("Use done")
    assert "kinds of" in first["changed"].shown


def test_a_changed_value_that_a_component_uses_counts(first):
    assert "output: Integer\n  15" in first["made anew"].shown


def test_the_session_tells_what_ran_before_its_inputs_were_made_anew(first):
    assert "before Make was made anew" in first["stale"].shown
    assert "Use ran before what they take was made anew" in first["stale export"].shown


def test_an_update_runs_again_with_other_parameters(first):
    assert first["update"].shown.split() == ["node", "state", "Make", "done", "Use", "done"]


def test_a_node_runs_again_without_being_made_again(tmp_path, run_cells):
    define = MAKE.partition("make =")[0] + "node = Make(count=1)\n"
    told = run_cells(tmp_path, IMPORTS, define, "session.run(node)", "session.run(node)")
    assert "Make done" in told[2].shown
    assert "Make cached" in told[3].shown


def test_what_is_imported_is_taken_by_others(tmp_path, run_cells):
    (tmp_path / "there").mkdir()
    made, taken = run_cells(tmp_path, IMPORTS, IMPORT, TAKE)[1:]
    assert "result: Model" in made.shown
    assert "Takes done" in taken.shown


@pytest.fixture(scope="module")
def exported(folder, first):
    return states(folder, "birds.py:birds")


def test_the_exported_pipeline_has_the_same_fingerprints(exported):
    assert exported == {"Make": "cached", "Use": "cached"}


def test_the_exported_file_is_what_a_person_would_write(folder, first):
    assert (
        (folder / "birds.py").read_text()
        == '''"""The pipeline birds, from a notebook."""

from __future__ import annotations

from typing import Any

from birds_components import Make, Use
from penstock import pipeline


@pipeline(name="birds")
def birds(count: int = 4) -> list[Any]:
    """The nodes of the notebook session birds."""
    make = Make(count=count)
    use = Use(model=make.outputs["model"], number=make.outputs["output"])
    return [use]
'''
    )


def test_its_module_has_what_the_components_use(folder, first):
    module = (folder / "birds_components.py").read_text()
    assert "from penstock import Input, Output, component\n" in module
    assert "FACTOR = 5\n" in module
    assert "Session" not in module


@pytest.fixture(scope="module")
def restored(folder, first, exported, run_cells):
    """Another kernel, in which nothing but the session is known."""
    start = 'from penstock.notebook import Session\nsession = Session.restore("birds")\nsession'
    imports = "from penstock import Input, component\nfrom penstock.artifacts import Model\n"
    use = USE.replace("make.outputs", 'session["Make"].outputs').replace(" of ", " kinds of ")
    cells = {
        "session": start,
        "use": imports + use,
        "make": 'session["Make"]',
        "export": EXPORT,
        "missing": 'Session.restore("bird")',
        "earlier": f'Session.restore({first["run"].shown})["Make"]',
    }
    return dict(zip(cells, run_cells(folder, *cells.values()), strict=True))


def test_a_session_is_restored_by_its_name(restored):
    assert "count = 4" in restored["session"].shown
    assert "Make" in restored["session"].shown


def test_a_restored_session_goes_on_from_the_cache(restored):
    assert restored["use"].shown.startswith("Use cached")


def test_a_restored_node_shows_what_it_made(restored):
    assert "output: Integer\n  20" in restored["make"].shown


def test_a_restored_session_exports_the_same(folder, restored):
    assert "wrote birds.py" in restored["export"].shown
    assert states(folder, "birds.py:birds") == {"Make": "cached", "Use": "cached"}


def test_a_session_that_is_not_known_is_answered_with_the_nearest(restored):
    assert "there is no session 'bird', nor a run of that name" in restored["missing"].printed
    assert "Did you mean 'birds'?" in restored["missing"].printed


def test_a_session_is_restored_as_it_was_after_a_run(restored):
    assert "output: Integer\n  6" in restored["earlier"].shown


def test_what_has_not_run_is_told(first):
    assert "takes model of Make, which has not run" in first["not run"].printed


def test_a_node_is_asked_for(first):
    assert first["no node"].printed.startswith("WiringError: expected a node to run, got 3 (int)")
