from __future__ import annotations

import json
import os
import shutil
from types import SimpleNamespace

import pytest

from penstock.errors import LineageError
from penstock.metadata.evaluations import Metric, metrics_of, thresholds_of
from penstock.metadata.served import explain_served, version_folder
from penstock_support.histories import History, new_store

METRICS = '[{"metric": "accuracy", "value": 0.75, "lower": null, "upper": null}]'
THRESHOLD = {"threshold": {"value_threshold": {"lower_bound": 0.7}}}
EVAL_CONFIG = {
    "metrics_specs": [{"metrics": [{"class_name": "Accuracy", **THRESHOLD}]}],
}


@pytest.fixture
def history(tmp_path):
    return History(new_store(), tmp_path)


def pushed(history, version="7", *, trained_in=None, destination=None):
    """Record a run from data to a pushed model, trained anew or taken from the cache."""
    run = f"run-{version}"
    if trained_in is None:
        examples = history.execute(
            run,
            "Gen",
            {},
            {"examples": "Examples"},
            parameters={"input_base": "/data", "span": 3},
            properties={"examples": {"span": 3, "input_fingerprint": "files:1,bytes:5"}},
            run_parameters={"steps": 9},
        )["examples"]
        schema = history.execute(run, "Schema", {}, {"schema": "Schema"})["schema"]
        graph = history.execute(
            run,
            "Transform",
            {"examples": [examples], "schema": [schema]},
            {"graph": "TransformGraph", "transformed": "Examples"},
        )
        model = history.execute(
            run,
            "Trainer",
            {"examples": [graph["transformed"]], "graph": [graph["graph"]]},
            {"model": "Model"},
            parameters={"train_args": "9 steps", "__code_fingerprint__": '{"model.py": "ab"}'},
        )["model"]
        found = SimpleNamespace(examples=examples, schema=schema, model=model)
    else:
        found = trained_in
        history.execute(run, "Trainer", cached={"model": found.model}, state="cached")
    evaluated = history.execute(
        run,
        "Evaluator",
        {"model": [found.model], "examples": [found.examples]},
        {"blessing": "ModelBlessing", "evaluation": "ModelEvaluation"},
        parameters={"eval_config": json.dumps(EVAL_CONFIG)},
        properties={"blessing": {"blessed": 1}, "evaluation": {"metrics": METRICS}},
    )
    folder = history.folder / "serving" / version
    push = history.execute(
        run,
        "Pusher",
        {"model": [found.model], "model_blessing": [evaluated["blessing"]]},
        {"pushed_model": "PushedModel"},
        properties={
            "pushed_model": {
                "pushed": 1,
                "pushed_destination": destination or str(folder),
                "pushed_version": version,
            }
        },
    )
    [copy] = history.store.get_artifacts_by_id([push["pushed_model"]])
    with open(os.path.join(copy.uri, "saved_model.pb"), "w") as file:
        file.write(f"model {version}")
    shutil.copytree(copy.uri, folder)
    found.folder, found.evaluated, found.push, found.copy = folder, evaluated, push, copy.uri
    return found


def test_everything_that_made_it_is_named(history):
    made = pushed(history)
    served = explain_served(history.store, str(history.folder / "serving"))
    assert served.folder == str(made.folder)
    assert served.model.artifact.artifact_id == made.model
    assert served.model.maker.node.parameters == {"train_args": "9 steps"}
    assert served.model.maker.node.code == {"model.py": "ab"}
    [data] = served.data
    assert data.artifact.artifact_id == made.examples
    assert data.artifact.properties["input_fingerprint"] == "files:1,bytes:5"
    assert data.maker.node.parameters["input_base"] == "/data"
    assert [s.artifact.artifact_id for s in served.schemas] == [made.schema]
    assert [g.artifact.type_name for g in served.transform_graphs] == ["TransformGraph"]
    assert [b.artifact.properties["blessed"] for b in served.blessings] == [1]
    assert served.pushing_run.parameters == {"steps": 9}


def test_the_evaluation_is_there_with_metrics_and_thresholds(history):
    pushed(history)
    [evaluation] = explain_served(history.store, str(history.folder / "serving")).evaluations
    assert metrics_of(evaluation.artifact) == (Metric("accuracy", 0.75),)
    assert thresholds_of(evaluation.maker) == ["Accuracy value: lower_bound 0.7"]


def test_the_newest_version_of_a_directory_is_explained(history):
    pushed(history, "9")
    pushed(history, "10")
    os.mkdir(history.folder / "serving" / ".penstock-staging-11")
    served = explain_served(history.store, str(history.folder / "serving"))
    assert served.pushing_run.run_id == "run-10"


def test_an_older_version_is_explained_by_its_own_folder(history):
    older = pushed(history, "9")
    pushed(history, "10")
    assert explain_served(history.store, str(older.folder)).pushing_run.run_id == "run-9"


def test_a_cached_model_names_the_run_that_trained_it_and_the_one_that_pushed_it(history):
    first = pushed(history, "1")
    pushed(history, "2", trained_in=first)
    served = explain_served(history.store, str(history.folder / "serving"))
    assert (served.training_run.run_id, served.pushing_run.run_id) == ("run-1", "run-2")


def test_a_folder_as_it_was_pushed_is_the_same(history):
    made = pushed(history)
    contents = explain_served(history.store, str(made.folder)).contents
    assert contents.is_same is True
    assert contents.files == 2


def test_files_that_were_changed_removed_or_added_since_are_named(history):
    made = pushed(history)
    (made.folder / "saved_model.pb").write_text("model 8")
    (made.folder / "data").unlink()
    (made.folder / "variables").mkdir()
    (made.folder / "variables" / "x").write_text("new")
    contents = explain_served(history.store, str(made.folder)).contents
    assert contents.is_same is False
    assert (contents.changed, contents.missing, contents.added) == (
        ("saved_model.pb",),
        ("data",),
        ("variables/x",),
    )


def test_a_file_that_cannot_be_read_is_a_named_error(history):
    made = pushed(history)
    model = made.folder / "saved_model.pb"
    model.unlink()
    model.symlink_to("saved_model.pb")
    with pytest.raises(LineageError, match="7 cannot be compared with .*Pusher"):
        explain_served(history.store, str(made.folder))


def test_without_a_copy_to_compare_with_nothing_is_said_of_the_contents(history):
    made = pushed(history)
    shutil.rmtree(made.copy)
    assert explain_served(history.store, str(made.folder)).contents.is_same is None


def test_a_relative_destination_as_tfx_records_it_is_found(history):
    made = pushed(history, destination="serving/7")
    served = explain_served(history.store, str(made.folder))
    assert served.model.artifact.artifact_id == made.model
    assert not served.is_elsewhere


def test_a_folder_that_was_moved_is_found_by_its_contents(history, tmp_path):
    made = pushed(history)
    moved = shutil.copytree(made.folder, tmp_path / "mounted" / "model")
    served = explain_served(history.store, str(moved))
    assert served.is_elsewhere
    assert served.model.artifact.artifact_id == made.model


def test_a_folder_that_nothing_explains_is_a_clear_error(history, tmp_path):
    pushed(history)
    other = tmp_path / "other" / "7"
    other.mkdir(parents=True)
    (other / "saved_model.pb").write_text("another model")
    with pytest.raises(LineageError) as raised:
        explain_served(history.store, str(other.parent))
    assert f"nothing in the store was pushed to {other}" in str(raised.value)
    assert "A version of that name was pushed to" in str(raised.value)


def test_a_store_without_pushes_says_so_too(history, tmp_path):
    (tmp_path / "7").mkdir()
    with pytest.raises(LineageError, match="nothing in the store was pushed to"):
        explain_served(history.store, str(tmp_path))


def test_a_model_that_was_not_pushed_explains_nothing(history, tmp_path):
    history.execute(
        "r",
        "Pusher",
        {},
        {"pushed_model": "PushedModel"},
        properties={"pushed_model": {"pushed": 0}},
    )
    (tmp_path / "serving" / "1").mkdir(parents=True)
    with pytest.raises(LineageError, match="nothing in the store was pushed to"):
        explain_served(history.store, str(tmp_path / "serving"))


def test_a_folder_without_versions_is_an_error_and_so_is_none_at_all(tmp_path):
    (tmp_path / "serving").mkdir()
    with pytest.raises(LineageError, match="there is no version of a model in .*base_directory"):
        version_folder(str(tmp_path / "serving"))
    with pytest.raises(LineageError, match="there is no folder .*nowhere"):
        version_folder(str(tmp_path / "nowhere"))


def test_versions_with_other_names_are_asked_for_by_name(history, tmp_path):
    first = pushed(history, "spring")
    assert version_folder(str(first.folder.parent), [str(first.folder)]) == str(first.folder)
    second = pushed(history, "summer")
    with pytest.raises(LineageError, match="several versions, and their names are no numbers"):
        version_folder(str(first.folder.parent), [str(first.folder), str(second.folder)])
