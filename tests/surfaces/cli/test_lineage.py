from __future__ import annotations

import json
import os
import shutil

import pytest
from click.testing import CliRunner

from penstock.errors import PenstockError
from penstock.metadata.store import connect, connection_config
from penstock.surfaces.cli.main import penstock as group
from penstock_support.histories import History


@pytest.fixture
def call(tmp_path, monkeypatch):
    """Call the command line in a folder with a store; errors come as main() prints them."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        try:
            return CliRunner().invoke(group, arguments, catch_exceptions=False)
        except PenstockError as error:
            return str(error)

    return call


@pytest.fixture
def ids(tmp_path):
    """A run that pushed a model, in the store of the folder."""
    (tmp_path / ".penstock").mkdir()
    with connect(connection_config(str(tmp_path / ".penstock/metadata.sqlite"))) as metadata:
        history = History(metadata.store, tmp_path / ".penstock")
        examples = history.execute(
            "run-1",
            "Gen",
            {},
            {"examples": "Examples"},
            parameters={"input_base": "/data"},
            properties={"examples": {"span": 5, "content_digest": "0123456789ab"}},
            run_parameters={"steps": 9},
        )
        code = '{"model.py": "abcdef"}'
        model = history.execute(
            "run-1",
            "Trainer",
            {"examples": [examples["examples"]]},
            {"model": "Model"},
            parameters={"__code_fingerprint__": code, "train_args": "9 steps"},
        )
        properties = {"pushed": 1, "pushed_destination": str(tmp_path / "serving" / "1")}
        pushed = history.execute(
            "run-1",
            "Pusher",
            {"model": [model["model"]]},
            {"pushed_model": "PushedModel"},
            properties={"pushed_model": properties},
        )
        [copy] = metadata.store.get_artifacts_by_id([pushed["pushed_model"]])
    shutil.copytree(copy.uri, tmp_path / "serving" / "1")
    return {**examples, **model, **pushed}


def test_the_tree_names_types_ids_nodes_runs_and_digests(call, ids):
    lines = call("lineage", "run-1/Trainer/model").output.splitlines()
    path = os.path.join(".penstock", "p", "Trainer", "model", "2")
    assert lines == [
        f"Model {ids['model']}  {path}  by Trainer in run run-1",
        f"└─ examples: Examples {ids['examples']}  by Gen in run run-1  01234567",
    ]


def test_down_draws_what_was_made_from_it(call, ids):
    lines = call("lineage", str(ids["examples"]), "--down").output.splitlines()
    assert lines[1:] == [
        f"└─ model: Model {ids['model']}  by Trainer in run run-1",
        f"   └─ pushed_model: PushedModel {ids['pushed_model']}  by Pusher in run run-1",
    ]


def test_json_is_a_graph_of_artifacts_and_executions(call, ids):
    content = json.loads(call("lineage", str(ids["model"]), "--json").output)
    assert [a["id"] for a in content["artifacts"]] == [ids["model"], ids["examples"]]
    trainer = next(e for e in content["executions"] if e["node"] == "Trainer")
    assert trainer["inputs"] == {"examples": [ids["examples"]]}
    assert trainer["code"] == {"model.py": "abcdef"}


def test_served_tells_data_code_parameters_and_run(call, ids):
    shown = call("lineage", "--served", "serving").output
    for text in (
        "as it was pushed, 1 file compared",
        "by Pusher in run run-1 of p",
        "train_args = 9 steps",
        "code model.py",
        "read from /data",
        "span 5",
        "-p steps=9",
    ):
        assert text in shown


def test_served_says_loudly_what_is_not_what_was_pushed(call, ids, tmp_path):
    (tmp_path / "serving" / "1" / "data").write_text("altered")
    shown = call("lineage", "--served", "serving/1").output
    assert "NOT WHAT WAS PUSHED" in shown
    assert "changed  data" in shown


def test_served_as_json_has_the_same(call, ids):
    content = json.loads(call("lineage", "--served", "serving", "--json").output)
    assert content["contents"]["is_same"] is True
    assert content["model"]["made_by"]["code"] == {"model.py": "abcdef"}
    assert content["data"][0]["properties"]["span"] == 5
    assert content["runs"] == {"run-1": {"steps": 9}}


def test_a_folder_that_nothing_explains_is_an_error(call, ids, tmp_path):
    (tmp_path / "other" / "2").mkdir(parents=True)
    assert "nothing in the store was pushed to" in call("lineage", "--served", "other")


@pytest.mark.parametrize("arguments", [(), ("3", "--served", "serving")])
def test_one_of_artifact_and_folder_is_asked_for(call, ids, arguments):
    done = call("lineage", *arguments)
    assert done.exit_code == 2
    assert "Name one ARTIFACT, or a folder with --served DIR." in done.output
