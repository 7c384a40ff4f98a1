"""Pipelines of TFX's components are defined without TensorFlow, and come out as with it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from penstock_support import IMPORT_PATH, PROGRAMS

pytestmark = pytest.mark.needs("tensorflow", "tfx_bsl")

DEFINITIONS = PROGRAMS / "foreign_definitions.py"
WITHOUT_TENSORFLOW = [
    "taxi_template",
    "penguin_template",
    "of_everything",
    "of_a_loop",
    "of_a_store_in_the_folder",
]
WITH_TENSORFLOW = ["of_statistics_that_are_told", "of_tuning", "of_own_executors"]
EXECUTE_NOTHING = ["untouched", "reached_by_attributes", "asked_whether_installed"]
EXECUTE_SOMETHING = [
    "derived",
    "called",
    "asked_for_bases",
    "pickled",
    "documented",
    "starred",
    "changed",
    "files_after_tensorflow",
    "transform_by_another_keras",
]


def told(file: str | Path, *functions: str, folder: Path, **variables: str) -> dict[str, Any]:
    """Return what a process says that loads a pipeline as a command does."""
    # Tests in this process may have imported what sets it.
    inherited = {name: text for name, text in os.environ.items() if name != "TF_USE_LEGACY_KERAS"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", PROGRAMS / "defined_by_command.py", file, *functions],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={**inherited, "PYTHONPATH": IMPORT_PATH, **variables},
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


@pytest.fixture(scope="module")
def eagerly(tmp_path_factory):
    folder = tmp_path_factory.mktemp("eagerly")
    functions = [*WITHOUT_TENSORFLOW, *WITH_TENSORFLOW]
    answer = told(DEFINITIONS, *functions, folder=folder, PENSTOCK_EAGER_IMPORTS="1")
    assert answer["tensorflow"]
    return answer


@pytest.mark.parametrize("function", [*WITHOUT_TENSORFLOW, *WITH_TENSORFLOW])
def test_the_ir_is_what_it_is_with_everything_imported(function, eagerly, tmp_path):
    assert told(DEFINITIONS, function, folder=tmp_path)[function] == eagerly[function]


@pytest.mark.parametrize("function", WITHOUT_TENSORFLOW)
def test_a_definition_that_executes_nothing_imports_no_tensorflow(function, tmp_path):
    assert not told(DEFINITIONS, function, folder=tmp_path)["tensorflow"]


def test_an_executor_is_recorded_by_its_path(tmp_path):
    [path] = told("CHECK", "recorded_path", folder=tmp_path)["seen"]
    assert path == "tfx.components.example_gen.csv_example_gen.executor.Executor"


@pytest.mark.parametrize("use", EXECUTE_NOTHING)
def test_naming_a_class_imports_no_tensorflow(use, tmp_path):
    answer = told("CHECK", use, folder=tmp_path)
    assert (set(*answer["seen"]), answer["tensorflow"]) == ({True}, False), answer


@pytest.mark.parametrize("use", EXECUTE_SOMETHING)
def test_a_class_that_is_used_is_the_real_one(use, tmp_path):
    answer = told("CHECK", use, folder=tmp_path)
    assert (set(*answer["seen"]), answer["tensorflow"]) == ({True}, True), answer
