"""Which code a node runs: its executor's, and the user's that its parameters name."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from penstock.execution.cache import code_digests, unfollowed

OWN = "tfx.components.trainer.executor.GenericExecutor"

EXECUTORS = """
from penstock._tfx import BaseExecutor
import {name}_shared
class Base(BaseExecutor):
    def Do(self, inputs, outputs, parameters):
        return {name}_shared.SIZE
class OurExecutor(Base):
    pass
class Other(Base):
    SIZE = 1
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    """The name of a module of the user's with TFX executor classes, and its folder."""
    name = f"executors_{tmp_path.name}"
    Path(tmp_path, f"{name}.py").write_text(EXECUTORS.format(name=name))
    Path(tmp_path, f"{name}_shared.py").write_text("SIZE = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield name
    for loaded in [key for key in sys.modules if key.startswith(name)]:
        del sys.modules[loaded]


def test_an_executor_class_of_the_user_counts_with_what_it_imports(module):
    assert set(code_digests(f"{module}.OurExecutor", {})) == {
        f"{module}.py",
        f"{module}_shared.py",
    }


@pytest.mark.parametrize(
    ("before", "after", "counts"),
    [
        ("return ", "return 1 + ", True),  # the class that it is derived from
        ("SIZE = 1", "SIZE = 2", False),  # another class beside it
    ],
)
def test_of_an_executor_class_counts_what_it_reaches(module, tmp_path, before, after, counts):
    first = code_digests(f"{module}.OurExecutor", {})
    path = tmp_path / f"{module}.py"
    path.write_text(path.read_text().replace(before, after))
    assert (code_digests(f"{module}.OurExecutor", {}) != first) is counts


def test_a_component_of_tfx_counts_as_one_entry():
    assert list(code_digests(OWN, {})) == ["tfx.components.trainer.executor"]


def test_a_component_of_the_library_counts_as_one_entry():
    path = "penstock.components.trainer.component.TrainerExecutor"
    assert list(code_digests(path, {})) == ["penstock.components.trainer"]


def test_the_module_file_of_a_component_of_tfx_counts_with_what_it_imports(tmp_path):
    (tmp_path / "model.py").write_text("import layers\ndef run_fn(args): return layers.SIZE\n")
    (tmp_path / "layers.py").write_text("SIZE = 1\n")
    parameters = {"module_file": str(tmp_path / "model.py")}
    first = code_digests(OWN, parameters)
    assert {"model.py", "layers.py"} < set(first)
    (tmp_path / "layers.py").write_text("SIZE = 2\n")
    second = code_digests(OWN, parameters)
    assert {file for file in first if first[file] != second[file]} == {"layers.py"}


def test_a_module_by_its_dotted_name_counts(module):
    assert f"{module}.py" in code_digests(OWN, {"module_path": module})


def test_of_a_function_by_its_dotted_name_counts_what_it_reaches(module, tmp_path):
    path = tmp_path / f"{module}.py"
    path.write_text("def run(args): return 1\ndef other(args): return 1\n")
    first = code_digests(OWN, {"run_fn": f"{module}.run"})
    path.write_text("def run(args): return 1\ndef other(args): return 2\n")
    assert code_digests(OWN, {"run_fn": f"{module}.run"}) == first
    path.write_text("def run(args): return 2\ndef other(args): return 2\n")
    assert code_digests(OWN, {"run_fn": f"{module}.run"}) != first


@pytest.mark.parametrize("changed", ["one", "two"])
def test_two_files_of_one_name_both_count(module, tmp_path, changed):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "model.py").write_text("SIZE = 1\n")
    parameters = {
        "module_file": str(tmp_path / "one" / "model.py"),
        "preprocessing_fn": str(tmp_path / "two" / "model.py"),
    }
    first = code_digests(OWN, parameters)
    (tmp_path / changed / "model.py").write_text("SIZE = 2\n")
    assert code_digests(OWN, parameters)["model.py"] != first["model.py"]


def test_code_whose_name_is_computed_is_told(tmp_path):
    (tmp_path / "model.py").write_text("def run_fn(args):\n    __import__(args.layers)\n")
    parameters = {"module_file": str(tmp_path / "model.py")}
    expected = ["what __import__ runs in model.py, line 2"]
    assert unfollowed(OWN, parameters) == expected
    assert unfollowed(OWN, {}) == []


def test_code_of_the_library_is_not_told_of():
    assert unfollowed("penstock.components.trainer.component.TrainerExecutor", {}) == []
