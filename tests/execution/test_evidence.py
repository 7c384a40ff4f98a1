from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path

import pytest

from penstock.execution.cache import code_digests
from penstock.execution.contents import measure
from penstock.execution.evidence import code_on_disk, is_intact
from penstock.metadata.reading import ArtifactRecord

TRAINER = "penstock.components.trainer.component.Trainer"


@pytest.fixture
def module(tmp_path):
    """A module file that imports another one; the folder's name makes it new to Python."""
    (tmp_path / "layers.py").write_text("WIDTH = 8\n")
    path = tmp_path / "model.py"
    path.write_text("import layers\n\ndef run_fn(fn_args):\n    return layers.WIDTH\n")
    return path


def states(parameters, recorded, type_name=TRAINER, **more):
    return code_on_disk(type_name, parameters, recorded, **more)


def test_what_is_on_the_disk_as_it_ran_is_the_same(module):
    parameters = {"module_file": str(module)}
    recorded = code_digests(f"{TRAINER}Executor", parameters)
    assert {"model.py", "layers.py", "penstock.components.trainer"} <= set(recorded)
    assert set(states(parameters, recorded).values()) == {"same"}


def test_each_file_that_was_edited_is_named(module):
    parameters = {"module_file": str(module)}
    recorded = code_digests(f"{TRAINER}Executor", parameters)
    (module.parent / "layers.py").write_text("WIDTH = 16\n")
    found = states(parameters, recorded)
    assert {name for name, state in found.items() if state == "changed"} == {"layers.py"}


def test_of_a_file_that_is_gone_nothing_is_known(module):
    parameters = {"module_file": str(module)}
    recorded = code_digests(f"{TRAINER}Executor", parameters)
    module.unlink()
    assert states(parameters, recorded)["model.py"] == "unknown"


def test_of_older_runs_with_one_digest_nothing_is_known():
    assert states({}, {"all code": "ab"}) == {"all code": "unknown"}


def test_a_component_of_the_user_is_found_where_its_project_is(tmp_path):
    from penstock_support import example_components

    recorded = code_digests("penstock_support.example_components.TrainModelExecutor", {})
    assert states({}, recorded, "penstock_support.example_components.TrainModel") == {
        "penstock_support/example_components.py": "same"
    }
    source = Path(example_components.__file__).read_text()
    changed = tmp_path / "penstock_support" / "example_components.py"
    changed.parent.mkdir()
    changed.with_name("__init__.py").touch()
    changed.write_text(source.replace("size / 10", "size / 11"))
    found = states(
        {}, recorded, "penstock_support.example_components.TrainModel", folders=[str(tmp_path)]
    )
    assert found == {"penstock_support/example_components.py": "changed"}


def test_no_module_is_imported_because_a_store_names_it(tmp_path, monkeypatch):
    package = tmp_path / "named_by_a_store"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    (package / "model.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(str(tmp_path))
    found = states({"module_path": "named_by_a_store.model"}, {"named_by_a_store/model.py": "0"})
    assert found == {"named_by_a_store/model.py": "changed"}
    assert "named_by_a_store" not in sys.modules


def record(path, digest):
    return ArtifactRecord(1, "Model", str(path), "live", datetime.now(), {"content_digest": digest})


def test_an_artifact_is_intact_as_long_as_its_files_are_as_they_were_published(tmp_path):
    (tmp_path / "data").write_text("x")
    digest = measure(str(tmp_path)).digest
    assert is_intact(record(tmp_path, digest)) is True
    (tmp_path / "data").write_text("y")
    assert is_intact(record(tmp_path, digest)) is False


def test_without_digest_or_files_nobody_knows(tmp_path):
    assert is_intact(record(tmp_path, "")) is None
    assert is_intact(record(tmp_path / "gone", "ab")) is None
