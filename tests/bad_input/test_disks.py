"""Disks that are full, read-only or forbidden, as mounts and users that the tests make."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from penstock_support import PROGRAMS

SCRIPT = PROGRAMS / "disk_scenarios.py"

# Mounts are seen in a namespace of their own alone, which others than root may make too.
NAMESPACE = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "-m"]
# Root without the capability to pass over permissions.
PLAIN_USER = (
    ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
)


def play(scenario: str, folder: Path, prefix: list[str]) -> dict[str, Any]:
    command = [*prefix, sys.executable, "-W", "ignore", str(SCRIPT), scenario, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    assert set(told["good"]["states"].values()) == {"done"}
    return told


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    return play("full", tmp_path_factory.mktemp("full"), NAMESPACE)


@pytest.fixture(scope="module")
def full_store(tmp_path_factory):
    return play("full_store", tmp_path_factory.mktemp("full_store"), NAMESPACE)


@pytest.fixture(scope="module")
def forbidden(tmp_path_factory):
    folder = tmp_path_factory.mktemp("forbidden")
    yield play("forbidden", folder, PLAIN_USER)
    for path in folder.rglob("*"):
        if path.is_dir():
            path.chmod(0o755)


@pytest.mark.parametrize("node", ["CsvExampleGen", "Writes"])
def test_a_full_disk_is_named_with_what_is_free(full, node):
    error = full["full"]["errors"][node]
    assert error.startswith("no space is left on the device of /")
    assert "/root: 0.0 MB of 1.0 MB are free. Free some space and run again" in error


def test_a_full_disk_leaves_what_was_published_and_nothing_more(full):
    assert full["before"]
    assert full["after"] == full["before"]
    assert full["leftovers"] == []
    assert full["executions"] == ["COMPLETE", "COMPLETE", "FAILED", "FAILED"]


def test_a_store_on_the_full_disk_still_records_the_failure(full_store):
    assert "no space is left" in full_store["full"]["errors"]["Writes"]
    assert full_store["executions"] == ["COMPLETE", "COMPLETE", "CACHED", "FAILED"]
    assert full_store["after"] == full_store["before"]
    assert full_store["leftovers"] == []


def test_a_read_only_root_is_named_before_anything_runs(full):
    assert full["read_only"]["raised"] == "StorageError"
    assert "its file system is read-only. Set a pipeline_root" in full["read_only"]["error"]
    assert full["after_read_only"] == full["before"]


def test_an_input_file_that_may_not_be_read_is_named(forbidden):
    error = forbidden["node"]["errors"]["CsvExampleGen"]
    assert "cannot read an input file: Permission denied (" in error
    assert "data/data.csv)" in error


def test_a_folder_of_a_node_that_may_not_be_written_is_named(forbidden):
    error = forbidden["node"]["errors"]["Writes"]
    assert "node Writes: its folders cannot be made: Permission denied: /" in error
    assert "/root/Writes/.system/" in error
    assert forbidden["executions"] == ["COMPLETE", "COMPLETE", "FAILED", "FAILED"]
    assert forbidden["after"] == forbidden["before"]


def test_a_root_that_may_not_be_written_is_named_before_anything_runs(forbidden):
    assert forbidden["root"]["raised"] == "StorageError"
    error = forbidden["root"]["error"]
    assert "has no permission for /" in error
    assert "Change its owner or mode (ls -ld " in error
