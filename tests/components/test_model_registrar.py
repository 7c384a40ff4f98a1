"""ModelRegistrar and RegisteredModel, in runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from penstock import registry
from penstock.metadata import registered
from penstock.metadata.store import connect, connection_config
from penstock.models.of_run import model_of_result
from penstock.registry.facts import model_of_run
from penstock.runners.local import LocalRunner
from penstock.testing import KillAt, Silent, Step
from penstock_support.registering_components import numbers

pytestmark = pytest.mark.core


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


class Project:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.connection = connection_config(str(folder / "metadata.sqlite"))

    def runner(self, **options) -> LocalRunner:
        return LocalRunner(
            pipeline_root=str(self.folder / "root"),
            metadata=str(self.folder / "metadata.sqlite"),
            display=Silent(),
            **options,
        )

    def run(self, **parameters):
        return self.runner().run(numbers, parameters=parameters, raise_on_failure=False)

    def model(self):
        with connect(self.connection) as metadata:
            return registry.read_model(metadata.store, "numbers")

    def promote(self, number):
        with connect(self.connection) as metadata:
            return registry.promote(metadata.store, "numbers", number, who="ann")


def test_a_blessed_model_is_registered_and_gets_its_alias(project):
    result = project.run(weight=3)
    model = project.model()
    assert [v.run_id for v in model.versions] == [result.run_id]
    assert model.aliases == {"challenger": 1}
    assert model.moves[0].who == f"run {result.run_id}"


def test_the_output_says_as_which_version(project):
    registration = project.run(weight=3).output("ModelRegistrar", "registration")
    text = Path(registration.uri, "registration.json").read_text()
    assert json.loads(text) == {"model": "numbers", "version": 1, "registered": True}
    assert registration.get_int_custom_property("version") == 1


def test_the_version_has_the_blessing_that_was_given(project):
    project.run(weight=3)
    assert project.model().versions[0].is_blessed is True


def test_a_model_that_is_not_blessed_is_not_registered(project):
    registration = project.run(weight=0).output("ModelRegistrar", "registration")
    assert registration.get_int_custom_property("registered") == 0
    with pytest.raises(registry.RegistryError, match="no registered model 'numbers'"):
        project.model()


def test_the_champion_is_the_baseline_of_the_next_run(project):
    project.run(weight=3)
    project.promote(1)
    assert project.run(weight=5).output("JudgeNumber", "output").read() == "3"
    project.promote(2)
    assert project.run(weight=4).output("JudgeNumber", "output").read() == "5"
    assert len(project.model().versions) == 2


def test_the_champion_that_a_run_compares_with_is_no_model_that_it_made(project):
    project.run(weight=3)
    project.promote(1)
    result = project.run(weight=5)
    with connect(project.connection) as metadata:
        made = model_of_run(metadata.store, result.run_id)
    assert made == project.model().version(2).artifact_id
    assert model_of_result(result).id == made


def test_without_a_champion_there_is_no_baseline(project):
    assert project.run(weight=3).output("JudgeNumber", "output").read() == "0"


def test_a_model_whose_first_version_was_never_written_is_no_baseline(project):
    with connect(project.connection) as metadata:
        registered.declare(metadata.store, "numbers")
    assert project.run(weight=3).output("JudgeNumber", "output").read() == "0"


def test_a_champion_that_was_altered_is_no_baseline_and_fails_the_run(project):
    project.run(weight=3)
    project.promote(1)
    Path(project.model().versions[0].uri, "Format-Serving", "weight.txt").write_text("9")
    result = project.run(weight=5)
    assert "numbers@1 may not be served" in result.nodes["champion"].error


def test_a_registrar_that_was_killed_registers_once_when_the_run_goes_on(project):
    runner = project.runner(on_step=KillAt(Step.WORKED, "ModelRegistrar"))
    killed = runner.run(numbers, parameters={"weight": 3}, raise_on_failure=False)
    assert not killed.succeeded
    assert len(project.model().versions) == 1
    resumed = project.runner().resume(numbers, killed.run_id)
    assert resumed.succeeded
    assert [v.number for v in project.model().versions] == [1]


def test_the_same_model_out_of_the_cache_is_the_same_version(project):
    project.run(weight=3)
    assert project.run(weight=3).succeeded
    assert len(project.model().versions) == 1


def test_a_version_has_the_image_in_which_its_model_was_made(project, monkeypatch):
    monkeypatch.setenv("PENSTOCK_IMAGE", "registry.example/x@sha256:abc")
    project.run(weight=3)
    assert project.model().versions[0].facts["image"] == "registry.example/x@sha256:abc"
