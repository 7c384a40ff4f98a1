"""Parts of pipelines that TFX's `mark_pipeline` marks: TFX's runner and ours leave the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from penstock_support import IMPORT_PATH, PROGRAMS

pytestmark = pytest.mark.needs("tfx.components")


def told(runner: str, folder):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(PROGRAMS / "tfx_parts.py"), runner, str(folder)],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": IMPORT_PATH},
        timeout=500,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def tfx_s(tmp_path_factory):
    return told("tfx", tmp_path_factory.mktemp("tfx"))


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    return told("ours", tmp_path_factory.mktemp("ours"))


@pytest.mark.parametrize(
    ("run", "base"),
    [
        ("from_add", "whole"),  # the latest
        ("only_load", "from_add"),
        ("of_a_named_run", "from_add"),
        ("what_may_lend_does", "whole"),
        ("what_may_lend_has_nothing", "only_load"),
        ("after_a_failure", "whole_with_a_failure"),
    ],
)
def test_a_part_leaves_the_same_parents_and_executions_of_the_same_artifacts(
    tfx_s, ours, run, base
):
    assert f"pipeline_run {base}" in tfx_s["runs"][run]["parents"]
    assert ours["runs"][run] == tfx_s["runs"][run]


def test_a_node_that_may_lend_and_has_nothing_is_passed_over(ours):
    nodes = [node for node, _, _ in ours["runs"]["what_may_lend_has_nothing"]["executions"]]
    assert nodes == ["Beside", "Load", "Other"]


def test_one_that_failed_and_may_lends_nothing(ours):
    assert ["Failing", "CACHED", []] in ours["runs"]["after_a_failure"]["executions"]


def test_what_must_be_lent_and_is_not_there_is_a_lookup_error(tfx_s, ours):
    assert ours["refused"] == tfx_s["refused"] == ["of_the_latest_without_it", "of_no_run"]


def test_a_part_that_is_refused_is_no_run_here(ours):
    assert not ours["runs"].keys() & set(ours["refused"])
