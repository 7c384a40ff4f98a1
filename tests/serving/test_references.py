"""Which model a text means, for `predict`, `serve` and `load_model` alike."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock import registry
from penstock.errors import DataError, LineageError, RegistryError, RunError, StoreError
from penstock.metadata.store import connect, connection_config
from penstock.serving.references import find_model
from penstock.serving.routes import Servable
from penstock.serving.sources import AliasSource, FixedSource, FolderSource, source_of
from penstock_support.histories import History
from penstock_support.registered import alter, trained

pytestmark = pytest.mark.core


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / ".penstock").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def history(project: Path) -> Iterator[History]:
    """A store with a run of the pipeline p, `run-a`, which has trained a model."""
    with connect(connection_config(str(project / ".penstock/metadata.sqlite"))) as metadata:
        yield History(metadata.store, project)


@pytest.fixture
def model(history: History) -> int:
    return trained(history, "run-a")


def uri_of(history: History, artifact_id: int) -> str:
    [artifact] = history.store.get_artifacts_by_id([artifact_id])
    return str(artifact.uri)


def versions(folder: Path, *numbers: int) -> Path:
    for number in numbers:
        (folder / str(number)).mkdir(parents=True)
    return folder


def test_a_folder_is_a_model_and_called_like_it(project: Path):
    (project / "serving" / "penguins").mkdir(parents=True)
    found = find_model("serving/penguins")
    assert (found.path, found.name) == (str(project / "serving" / "penguins"), "penguins")


def test_of_pushed_versions_the_newest_is_meant(project: Path):
    found = find_model(str(versions(project / "penguins", 9, 10)))
    assert (found.path, found.name, found.version) == (
        str(project / "penguins" / "10"),
        "penguins",
        10,
    )


def test_a_pushed_version_is_called_like_the_folder_that_it_is_in(project: Path):
    found = find_model(str(versions(project / "penguins", 9) / "9"))
    assert (found.name, found.version) == ("penguins", 9)


@pytest.mark.parametrize("reference", ["latest", "run-a", "p", "latest/Trainer"])
def test_a_model_is_named_by_what_made_it(history: History, model: int, reference: str):
    found = find_model(reference)
    assert (found.path, found.name, found.version) == (uri_of(history, model), "p", model)


def test_a_model_is_named_by_the_id_and_the_address_of_its_artifact(history: History, model: int):
    uri = uri_of(history, model)
    assert find_model(str(model)).path == find_model(uri).path == uri


def test_of_a_pipeline_the_latest_run_is_meant(history: History, model: int):
    newer = trained(history, "run-b")
    assert find_model("p").version == newer != model


def test_a_registered_version_is_named_by_alias_and_by_number(history: History, model: int):
    registry.register(history.store, "flights", model, who="ann")
    registry.promote(history.store, "flights", 1, who="ann")
    found = find_model("flights@champion")
    assert (found.path, found.name, found.version) == (uri_of(history, model), "flights", 1)
    assert find_model("flights@1") == found


def test_a_version_whose_files_were_altered_is_not_found(history: History, model: int):
    registry.register(history.store, "flights", model, who="ann")
    alter(history, model)
    with pytest.raises(RegistryError, match="flights@1 may not be served"):
        find_model("flights@1")


def test_a_registered_model_without_a_version_is_asked_for_one(history: History, model: int):
    registry.register(history.store, "flights", model, who="ann")
    with pytest.raises(DataError) as caught:
        find_model("flights")
    assert str(caught.value) == (
        "'flights' is a registered model with versions: which model is meant is not clear. Say "
        "which: flights@1."
    )


def test_a_pipeline_and_a_registered_model_of_one_name_are_told_apart(history: History, model: int):
    registry.register(history.store, "p", model, who="ann")
    registry.promote(history.store, "p", 1, who="ann")
    with pytest.raises(DataError) as caught:
        find_model("p")
    assert "'p' is a registered model and the pipeline of run run-a" in str(caught.value)
    assert "Say which: p@champion, run-a." in str(caught.value)


def test_a_run_that_made_several_models_has_them_named(history: History, model: int):
    made = history.execute("run-a", "OtherTrainer", outputs={"model": "Model"})
    with pytest.raises(RunError) as caught:
        find_model("run-a")
    assert "should have made one model, and has made 2: by Trainer, OtherTrainer" in str(
        caught.value
    )
    assert f"Name it by its id: {model} (by Trainer), {made['model']} (by OtherTrainer)" in str(
        caught.value
    )


def test_a_run_that_made_none_is_told(history: History):
    history.execute("run-a", "CsvExampleGen", outputs={"examples": "Examples"})
    with pytest.raises(RunError, match="should have made one model, and has made none"):
        find_model("run-a")


def test_an_artifact_that_is_no_model_is_told(history: History):
    made = history.execute("run-a", "CsvExampleGen", outputs={"examples": "Examples"})
    with pytest.raises(DataError, match=f"artifact {made['examples']} is Examples"):
        find_model(str(made["examples"]))


@pytest.mark.parametrize("reference", ["pengiuns", "serving/pengiuns"])
def test_what_is_nothing_is_told_with_and_without_a_store(project: Path, reference: str):
    expected = f"or NAME@ALIAS; '{reference}' is none of these. penstock runs lists the runs"
    with pytest.raises(DataError) as without:
        find_model(reference)
    with connect(connection_config(str(project / ".penstock/metadata.sqlite"))) as metadata:
        trained(History(metadata.store, project), "run-a")
    with pytest.raises(DataError) as with_store:
        find_model(reference)
    assert expected in str(without.value)
    assert str(without.value) == str(with_store.value)


def test_a_node_that_a_run_has_not_is_told(history: History, model: int):
    with pytest.raises(LineageError, match="run run-a has no node 'Trianer'"):
        find_model("run-a/Trianer")


def test_a_folder_without_a_model_is_none_where_a_pipeline_is_called_so(
    history: History, model: int, project: Path
):
    assert (project / "p").is_dir()
    assert find_model("p").version == model
    assert find_model("./p").version == 1


def test_what_only_a_store_has_needs_one(project: Path):
    with pytest.raises(StoreError):
        find_model("flights@champion")


def test_a_server_follows_folders_of_versions_and_aliases_and_nothing_else(
    history: History, model: int, project: Path
):
    folder = versions(project / "penguins", 9)
    assert source_of(str(folder)) == (FolderSource(str(folder)), "penguins")
    assert source_of("flights@champion") == (AliasSource("flights", "champion"), "flights")
    fixed = FixedSource(Servable(model, uri_of(history, model)))
    assert source_of("latest") == (fixed, "p")
