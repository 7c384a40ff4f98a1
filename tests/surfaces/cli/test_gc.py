from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from penstock.metadata.store import connect, connection_config
from penstock.surfaces.cli.main import penstock as group
from penstock_support.histories import History


@pytest.fixture
def call(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(group, arguments, catch_exceptions=False)


@pytest.fixture
def models(tmp_path):
    """Three runs that have ended; the first one's model is blessed. Return the models' folders."""
    folder = tmp_path / ".penstock"
    folder.mkdir()
    with connect(connection_config(str(folder / "metadata.sqlite"))) as metadata:
        history = History(metadata.store, folder)
        for number in range(3):
            run = f"run-{number}"
            model = history.execute(run, "Trainer", {}, {"model": "Model"})["model"]
            history.execute(
                run,
                "Evaluator",
                {"model": [model]},
                {"blessing": "ModelBlessing"},
                properties={"blessing": {"blessed": int(number == 0)}},
            )
            context = history.contexts["pipeline_run", run]
            context.custom_properties["state"].string_value = "done"
            metadata.store.put_contexts([context])
        return [a.uri for a in metadata.store.get_artifacts_by_type("Model")]


def exists(uri: str) -> bool:
    return Path(uri, "data").exists()


def test_without_delete_nothing_is_removed_and_the_reasons_are_told(call, models):
    done = call("gc", "--keep-last", "1")
    assert done.exit_code == 0
    for text in (
        "a blessed model descends from it",
        "one of the newest runs of a pipeline made or used it (--keep-last 1)",
        "artifacts of runs that are neither new nor needed",
        ".penstock/p/Trainer/model/3",
        "would be freed; nothing has been removed. Remove it: the same command with --delete.",
    ):
        assert text in done.output
    assert all(map(exists, models))


@pytest.mark.parametrize("option", ["--delete", "--yes"])
def test_with_delete_it_is_removed(call, models, option):
    done = call("gc", "--keep-last", "1", option)
    assert done.exit_code == 0
    assert "freed" in done.output
    assert [exists(uri) for uri in models] == [True, False, True]


def test_by_default_what_is_young_stays(call, models):
    done = call("gc", "--delete")
    assert "there was nothing to remove" in done.output
    assert all(map(exists, models))


def test_a_removed_artifact_is_still_known_as_deleted(call, models):
    call("gc", "--keep-last", "1", "--delete")
    assert "deleted" in call("lineage", "run-1/Trainer/model").output
    assert "(removed)" in call("show", "run-1").output


def test_json_has_what_goes_and_what_stays(call, models):
    content = json.loads(call("gc", "--keep-last", "1", "--json").output)
    assert {entry["path"] for entry in content["remove"]} >= {models[1]}
    kept = content["kept"]["a blessed model descends from it"]
    assert models[0] in [entry["uri"] for entry in kept]
    done = json.loads(call("gc", "--keep-last", "1", "--delete", "--json").output)
    assert [entry["path"] for entry in done["removed"]] == [e["path"] for e in content["remove"]]
    assert done["failed"] == []


def test_what_cannot_be_removed_is_told_and_the_exit_code_is_1(call, models, tmp_path):
    (tmp_path / ".penstock" / "p" / "Trainer" / ".system").write_text("in the way")
    done = call("gc", "--keep-last", "1", "--delete")
    assert done.exit_code == 1
    assert "1 could not be removed; the next penstock gc --delete tries again." in done.output


@pytest.mark.parametrize("age", ["30", "d", "3 days", "-1d"])
def test_an_age_that_is_none_is_refused_with_what_was_expected(call, models, age):
    done = call("gc", f"--older-than={age}")
    assert done.exit_code == 2
    assert "expected a number with m, h, d or w, as in 30d" in done.output
