"""Which extra has what, and what is said of one that is missing."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from penstock.errors import MissingExtra, UserCodeError
from penstock.project import extras, user_code
from penstock.project.config import Config
from penstock.project.source import certain_imports, foreign_imports

pytestmark = pytest.mark.core
PROJECT = Path(__file__).parents[2] / "pyproject.toml"


@pytest.fixture
def without(monkeypatch):
    """Have packages count as not installed, and all others of the table as installed."""

    def hide(*packages):
        monkeypatch.setattr(extras, "is_installed", lambda package: package not in packages)

    return hide


def test_the_table_has_the_extras_that_the_project_declares():
    declared = tomllib.loads(PROJECT.read_text())["project"]["optional-dependencies"]
    assert set(extras.EXTRAS) == set(declared)


@pytest.mark.parametrize(
    ("module", "package", "extra"),
    [
        ("tensorflow_transform.beam", "tensorflow_transform", "tfx"),
        ("tfx.components.trainer.fn_args_utils", "tfx.components", "tfx"),
        ("apache_beam", "apache_beam", "beam"),
        ("xgboost.sklearn", "xgboost", "xgboost"),
    ],
)
def test_a_module_is_found_by_its_package(module, package, extra):
    assert extras.package_of(module) == package
    assert extras.extra_of(package) == extra


@pytest.mark.parametrize("module", ["tfx.dsl", "tfx", "pandas", "tensorflow_metadata", "mine"])
def test_what_the_core_or_nobody_has_is_in_no_extra(module):
    assert extras.package_of(module) is None


def test_a_module_that_is_hidden_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "xgboost", None)
    assert not extras.is_installed("xgboost")
    assert extras.is_installed("json")


def test_folders_without_code_are_not_installed(tmp_path, monkeypatch):
    (tmp_path / "outer" / "inner").mkdir(parents=True)
    (tmp_path / "outer" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    assert extras.is_installed("outer")
    assert not extras.is_installed("outer.inner")
    (tmp_path / "outer" / "inner" / "__init__.py").touch()
    assert extras.is_installed("outer.inner")
    assert "outer" not in sys.modules


def test_one_command_installs_all_that_is_missing():
    assert (
        extras.install_command(["xgboost", "sklearn"]) == "pip install 'penstock[sklearn,xgboost]'"
    )
    assert extras.install_command(["beam", "tfx"]) == "pip install 'penstock[tfx]'"


def test_of_one_node_the_package_is_told():
    error = extras.needed_by_nodes({"Transform": ["tensorflow_transform"]})
    assert str(error) == (
        "node Transform needs tensorflow_transform, which is not installed. "
        "Install it: pip install 'penstock[tfx]'."
    )
    assert (error.nodes, error.packages, error.extras) == (
        ("Transform",),
        ("tensorflow_transform",),
        ("tfx",),
    )


def test_several_nodes_are_told_in_one_error():
    error = extras.needed_by_nodes(
        {"Transform": ["tensorflow_transform", "tensorflow"], "Train": ["xgboost"]}
    )
    assert str(error) == (
        "2 nodes need packages that are not installed: Transform tensorflow_transform and "
        "tensorflow; Train xgboost. Install them: pip install 'penstock[tfx,xgboost]'."
    )


def test_a_failed_import_is_told_with_its_extra(without):
    without("xgboost")
    error = extras.of_import_error(ModuleNotFoundError("no", name="xgboost.core"), "mine.py:3")
    assert isinstance(error, MissingExtra)
    assert str(error) == (
        "xgboost is not installed (mine.py:3). Install it: pip install 'penstock[xgboost]'."
    )


def test_tfx_is_missing_where_only_its_sdk_is_there(without):
    without("tfx.v1", "tfx.components")
    error = ImportError("cannot import name 'v1' from 'tfx' (/x/__init__.py)", name="tfx")
    assert extras.missing_package(error) == "tfx.v1"
    error = ModuleNotFoundError("no", name="tfx.orchestration.beam")
    assert extras.missing_package(error) == "tfx.components"


def test_an_import_that_fails_for_another_reason_is_no_missing_extra(without):
    without()
    assert extras.of_import_error(ImportError("broken", name="xgboost")) is None
    assert extras.of_import_error(ModuleNotFoundError("no", name="mine")) is None
    assert extras.of_import_error(ValueError("no")) is None


def test_user_code_that_does_not_import_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "xgboost", None)
    path = tmp_path / "mine.py"
    path.write_text("import xgboost\n")
    with pytest.raises(UserCodeError) as raised:
        user_code.load_module(str(path))
    assert f"{path}:1" in str(raised.value)
    assert str(raised.value).endswith("Install it: pip install 'penstock[xgboost]'.")


@pytest.mark.parametrize(
    "imports",
    ["from tfx import v1 as tfx", "from tfx.components import Trainer", "import tensorflow"],
)
def test_a_pipeline_of_tfx_that_does_not_import_names_the_extra(tmp_path, monkeypatch, imports):
    for module in ("tfx.v1", "tfx.components", "tensorflow"):
        monkeypatch.setitem(sys.modules, module, None)
    # Where somebody has imported it, a package has it beside the list of modules.
    monkeypatch.delattr("tfx.v1", raising=False)
    monkeypatch.setattr(extras, "is_installed", lambda _: False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "theirs.py").write_text(f"{imports}\n")
    with pytest.raises(UserCodeError) as raised:
        Config(None, {}, {}).load_pipeline("theirs.py:create")
    said = str(raised.value)
    assert f"theirs.py:1, in <module>\n    {imports}\n" in said
    assert said.endswith("Install it: pip install 'penstock[tfx]'.")
    assert "importlib" not in said


def test_what_code_may_do_without_is_no_certain_import(tmp_path):
    (tmp_path / "beside.py").write_text("from tensorflow import keras\n")
    path = tmp_path / "mine.py"
    path.write_text(
        "import os, xgboost.sklearn\n"
        "from . import nothing\n"
        "import beside\n"
        "try:\n    import lightgbm\nexcept ImportError:\n    pass\n"
        "if os.name:\n    import torch\n"
        "def later():\n    import sklearn\n"
    )
    assert certain_imports(str(path)) == {"os", "xgboost.sklearn", "beside", "tensorflow.keras"}


@pytest.mark.parametrize("module", extras.CORE)
def test_the_core_has_what_it_is_said_to_have(module):
    assert extras.is_installed(module)
    assert extras.is_of_the_core(module)


def test_tfxs_own_components_are_not_of_the_core():
    assert extras.is_of_the_core("tfx.dsl")
    assert not extras.is_of_the_core("tfx.components.trainer")


def test_imports_of_others_are_found_wherever_they_stand(tmp_path):
    (tmp_path / "beside.py").write_text("import json, pandas\n")
    path = tmp_path / "mine.py"
    path.write_text("import beside\n\ndef later():\n    from catboost import CatBoost\n")
    assert foreign_imports(str(path)) == {"pandas", "catboost.CatBoost"}


def test_asking_whether_tensorflow_transform_is_installed_imports_nothing():
    done = subprocess.run(
        [
            *(sys.executable, "-c"),
            "import sys\n"
            "from penstock.project import extras, keras\n"
            "keras.settle_before_transform()\n"
            "extras.is_installed('tensorflow_transform')\n"
            "print('tensorflow' in sys.modules)",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "False\n", done.stderr
