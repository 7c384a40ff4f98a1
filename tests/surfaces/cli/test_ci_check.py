"""`penstock ci check`: what it says, and with which exit code."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from penstock_support.git_projects import GitProject, learning_project

pytestmark = pytest.mark.core


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> GitProject:
    return learning_project(tmp_path_factory.mktemp("ci") / "repository")


def ci(project: GitProject, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "penstock", "ci", "check", *arguments],
        cwd=project.folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_each_check_is_a_line_and_the_fingerprint_ends_them(project):
    done = ci(project, "--no-tests", "--no-run")
    lines = done.stdout.splitlines()
    assert lines[0].startswith("✔ compile               ages, default  4 nodes")
    assert lines[1].startswith("! contracts             ages  nothing takes what ImportSchemaGen")
    told = [line[2:] for line in lines if "left out" in line]
    assert told == [
        "tests                 project  they were left out, by --no-tests",
        "sampled run           ages  it was left out, by --no-run",
    ]
    assert lines[-1].endswith("  not to be deployed: 2 checks failed or are missing")
    assert done.returncode == 0
    assert done.stderr == "compiling, and looking at contracts and schemas\n"


def test_json_has_the_checks_and_what_is_on_record(project):
    told = json.loads(ci(project, "--rows", "10", "--json").stdout)
    assert told["passed"]
    assert [record["passed"] for record in told["recorded"]] == [True]
    run = told["checks"][-1]
    assert (run["name"], run["state"]) == ("sampled run", "passed")


def test_a_check_that_fails_exits_with_1(project):
    project.change("schema.pbtxt", "type: INT", "type: NOTHING")
    done = ci(project, "--no-tests", "--no-run")
    assert done.returncode == 1
    assert "✘ schema" in done.stdout


def test_a_pipeline_that_is_not_there_is_a_wrong_request(project):
    done = ci(project, "age")
    assert done.returncode == 2
    assert "there is no pipeline 'age'" in done.stderr
