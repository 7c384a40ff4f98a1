"""`penstock ci plan`: what people, programs and pull requests get of a change."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from penstock.operations.delivery.comparing import (
    Kind,
    NodeChange,
    PipelineChange,
    ProjectChange,
    Reason,
)
from penstock.surfaces.cli.ci_comment import comment_on, marker
from penstock.surfaces.cli.main import penstock
from penstock_support.git_projects import GitProject, git_project

pytestmark = pytest.mark.core


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> GitProject:
    project = git_project(tmp_path_factory.mktemp("ci") / "repository")
    project.change("preprocessing.py", "rows + 1", "rows + 2")
    return project


def ci(project: GitProject, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "penstock", "ci", *arguments],
        cwd=project.folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_text_names_changed_and_following_nodes_and_why(project):
    done = ci(project, "plan", "--base", "main")
    commit = project.git("rev-parse", "HEAD")[:10]
    assert done.stdout.splitlines() == [
        f"main ({commit}) → {commit} and what is not committed",
        "",
        "= counts  nothing changes",
        "",
        "~ lines  1 changed, 2 following, 3 as before",
        "  = ImportSchemaGen  unknown",
        "  = Load             unknown",
        "  = Count            unknown",
        "  ~ Prepare          runs again        code preprocessing.py changed",
        "  → Fit              runs again        follows Prepare",
        "  → Judge            runs again        follows Prepare",
        "    what is cached is unknown: there is no store yet",
    ]
    assert done.returncode == 0


def test_json_has_each_reason_in_parts(project):
    change = json.loads(ci(project, "plan", "--base", "main", "--json").stdout)
    lines = change["pipelines"][1]
    prepare = next(node for node in lines["nodes"] if node["node"] == "Prepare")
    assert (prepare["change"], prepare["runs_again"]) == ("changed", True)
    assert prepare["reasons"][0]["name"] == "preprocessing.py"
    assert lines["fingerprint"] != lines["base_fingerprint"]


def test_a_comment_begins_with_its_marker(project):
    comment = ci(project, "plan", "--base", "main", "--markdown").stdout
    assert comment.startswith("<!-- penstock ci plan: . -->\n### Pipelines: 1 of 2 change\n")
    assert "| <code>Prepare</code> | ✏️ changed | runs again | " in comment
    assert "Nothing changes for <code>counts</code>." in comment


def test_exit_code_says_that_something_changes_where_it_is_asked_for(project):
    assert ci(project, "plan", "--base", "main", "--exit-code").returncode == 1


def test_a_base_that_is_not_there_is_a_wrong_request(project):
    done = ci(project, "plan", "--base", "other")
    assert done.returncode == 2
    assert done.stderr == (
        f"error: the commit 'other' is not in this repository ({project.top}). Fetch it: git fetch "
        "origin other\n"
    )


def test_an_unknown_command_of_the_group_is_answered_with_the_nearest():
    done = CliRunner().invoke(penstock, ["ci", "pln"])
    assert "There is no command 'pln'. Did you mean 'plan'?" in done.output


def change_of(*reasons: Reason, **fields) -> ProjectChange:
    node = NodeChange("Trainer", Kind.CHANGED, reasons)
    pipeline = PipelineChange("p", Kind.CHANGED, (node,))
    return ProjectChange(
        "main", "a" * 40, "b" * 40, False, **{"folder": "", **fields}, pipelines=(pipeline,)
    )


def test_a_comment_of_a_project_in_a_folder_has_a_marker_of_its_own():
    assert marker("services/a") != marker("services/b")
    assert marker("a--b") == "<!-- penstock ci plan: a- -b -->"


def test_values_in_a_comment_mention_nobody_and_end_no_cell():
    comment = comment_on(change_of(Reason("parameter", "name", "a|b", "@somebody `x` <b>")))
    row = next(line for line in comment.splitlines() if line.startswith("| <code>Trainer"))
    assert row.count("|") == 5
    assert "@" not in row
    assert "<b>" not in row


def test_a_comment_that_would_be_too_long_says_how_to_see_it_all():
    reasons = [Reason("code", f"file_{n}.py", note="changed") for n in range(20)]
    nodes = tuple(NodeChange(f"Node{n}", Kind.CHANGED, tuple(reasons)) for n in range(200))
    change = change_of()
    change = ProjectChange("main", "a", "b", False, "", (PipelineChange("p", Kind.CHANGED, nodes),))
    comment = comment_on(change)
    assert len(comment) < 32_000
    assert comment.endswith("… and more: `penstock ci plan --base main` has it all.\n")
