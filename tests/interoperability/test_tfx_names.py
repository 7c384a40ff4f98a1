"""Every public name of TFX's stands in the table of docs/tfx-names.md, and does what that says."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from penstock_support import IMPORT_PATH

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "tfx-names.md"
pytestmark = pytest.mark.needs("tfx.components")

WORDS = ("as it is", "accelerated", "ours", "TFX's, unseen", "no")


def public_names() -> set[str]:
    """Return the names that modules below tfx.v1 offer, without importing them.

    What stands for a module is no name, but its own names are.
    """
    found = importlib.util.find_spec("tfx")
    assert found is not None
    assert found.origin is not None
    top = Path(found.origin).parent / "v1"
    names = set()
    for path in top.rglob("*.py"):
        parts = path.relative_to(top).with_suffix("").parts
        module = ".".join(part for part in parts if part != "__init__")
        submodules = {p.stem for p in path.parent.iterdir() if path.stem == "__init__"}
        for name in _offered(path) - submodules:
            names.add(f"{module}.{name}")
    return names


def _offered(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tfx"):
            names |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
            names |= set(ast.literal_eval(node.value))
    return {name for name in names if not name.startswith("_") and not name.endswith("_pb2")}


def rows() -> list[tuple[str, list[str], str, str, str]]:
    """Return module, names, the word for them, what is said of them, and tests, of each row."""
    found = []
    module = ""
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if not line.startswith("| ") or line.startswith("| module "):
            continue
        first, names, word, said, tests = (cell.strip() for cell in line[1:-1].split("|"))
        module = first.strip("`") or module
        found.append((module, re.findall(r"`([^`]+)`", names), word, said, tests))
    return found


def test_every_public_name_of_tfx_stands_in_the_table_once_and_no_other():
    told = Counter(f"{module}.{name}" for module, names, *_ in rows() for name in names)
    assert [name for name, count in told.items() if count > 1] == []
    assert sorted(told) == sorted(public_names())


@pytest.mark.parametrize("row", rows(), ids=lambda row: f"{row[0]}.{row[1][0]}")
def test_a_row_says_one_of_five_things_and_what_was_run_names_its_test(row):
    _, names, word, said, tests = row
    assert names
    assert word in WORDS
    named = re.findall(r"`(\w+)`", tests)
    assert bool(named) == (word in ("as it is", "accelerated"))
    for name in named:
        assert list((ROOT / "tests").rglob(f"{name}.py")), name
    assert said or word in ("as it is", "accelerated")


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    folder = tmp_path_factory.mktemp("names")
    done = subprocess.run(
        [
            *(sys.executable, "-W", "ignore", "-c"),
            "import sys; from penstock_support import tfx_names; tfx_names.main(sys.argv[1])",
            str(folder),
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": IMPORT_PATH},
        timeout=900,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_a_pipeline_of_all_that_definitions_may_use_runs(told):
    others = {name: state for name, state in told["states"].items() if state[0] != "done"}
    assert {name: state for name, (state, _) in others.items()} == {"Never": "skipped"}, others


def test_every_message_reaches_an_executor_as_a_parameter(told):
    given, arrived = told["messages"]
    assert arrived == given
    assert len(given) > 30


def test_every_standard_type_is_an_output(told):
    types, put_out = told["types"]
    assert put_out == types
    assert told["values"]


def test_annotations_of_types_and_components_are_recorded(told):
    assert {
        name: told["kinds"][name]
        for name in (*("OwnDataset", "OwnMetrics", "OwnModel", "OwnStatistics"), "Told")
    } == {
        "OwnDataset": "DATASET",
        "OwnMetrics": "METRICS",
        "OwnModel": "MODEL",
        "OwnStatistics": "STATISTICS",
        "Told": "TRANSFORM",
    }
    executions = {"Deploying": "DEPLOY", "Evaluating": "EVALUATE", "Training": "TRAIN"}
    assert {name: told["kinds"][name] for name in executions} == executions
    assert told["kinds"]["Processing"] == "PROCESS"


def test_placeholders_in_the_beam_arguments_of_a_function_component_are_filled_in(told):
    run, data, made, rows = (label.partition("=")[2] for label in told["labels"])
    assert [data, made] == told["uris"]
    assert rows == "5"
    assert run


def test_resolvers_of_all_strategies_find_what_they_are_to_find(told):
    assert told["spans"] == {"newest": [2], "latest": [2], "last": [2]}


def test_a_value_is_the_parameter_of_a_node_under_a_condition(told):
    assert told["count"] == 3


def test_a_component_does_all_that_fileio_can(told):
    assert told["files"] == [False, True, ["a", "three"], ["a/b/one"], 3, 3, []]


def test_a_run_fn_is_given_tfx_s_arguments(told):
    assert told["training"] == [True, True, 7]


def test_a_tuner_fn_searches(told):
    assert told["tuned"] == {"number": 3}


def test_the_settings_of_a_mysql_store_are_those_of_an_address(told):
    assert told["mysql"]


def test_an_asynchronous_output_is_refused_by_tfx_itself(told):
    assert told["asynchronous"] != "it is taken"


def test_our_components_are_of_the_kinds_that_tfx_has_names_for(told):
    assert told["bases"] == [True] * 4


def test_components_of_google_s_cloud_compile(told):
    assert set(told["cloud"]) == {
        *(
            "BigQueryExampleGen",
            "Trainer",
            "Tuner",
            "CloudAIBulkInferrerComponent",
            "Queried",
            "Served",
        )
    }
