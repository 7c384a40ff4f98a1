from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from penstock.metadata.store import connect, connection_config
from penstock.surfaces.cli.main import penstock as group
from penstock_support.histories import History


@pytest.fixture
def call(tmp_path, monkeypatch):
    """Call the command line in a folder with two runs that differ in a parameter and a metric."""
    (tmp_path / ".penstock").mkdir()
    with connect(connection_config(str(tmp_path / ".penstock/metadata.sqlite"))) as metadata:
        history = History(metadata.store, tmp_path)
        for run, steps, accuracy in (("run-a", 100, 0.5), ("run-b", 200, 0.75)):
            metrics = json.dumps([{"metric": "accuracy", "value": accuracy}])
            history.execute(
                run,
                "Evaluator",
                {},
                {"evaluation": "ModelEvaluation"},
                parameters={"__code_fingerprint__": '{"mine.py": "abc"}'},
                properties={"evaluation": {"metrics": metrics}},
                run_parameters={"steps": steps, "rate": 0.125},
            )
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(group, arguments, catch_exceptions=False).output


def words(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


def test_what_differs_is_shown_side_by_side(call):
    lines = words(call("compare", "run-a", "run-b"))
    assert ["steps", "100", "200"] in lines
    assert ["accuracy", "0.5000", "0.7500", "+0.25"] in lines
    assert ["code", "the", "same"] in lines
    assert not [line for line in lines if line[:1] == ["rate"]]


def test_all_shows_what_is_the_same_too(call):
    lines = words(call("compare", "run-a", "run-b", "--all"))
    assert ["rate", "0.125", "0.125"] in lines
    assert ["Evaluator:", "mine.py", "abc", "abc"] in lines


def test_json_has_everything_and_says_what_differs(call):
    content = json.loads(call("compare", "run-a", "latest", "--json"))
    parameters = {p["name"]: p["is_different"] for p in content["parameters"]}
    assert parameters == {"steps": True, "rate": False}
    assert content["metrics"][0]["difference"] == 0.25
    assert content["second"]["run_id"] == "run-b"
