"""Projects that begin with a framework: which one, and that what is written works."""

from __future__ import annotations

import sys
import tomllib

import pytest

from penstock.surfaces.cli.frameworks import FRAMEWORKS, Framework
from penstock_support.new_project import init, run_in

of_all_frameworks = pytest.mark.parametrize(
    "framework", ["keras", "lightgbm", "sklearn", "torch", "xgboost"]
)
of_all_tasks = pytest.mark.parametrize("task", ["regression", "binary", "classes"])


@pytest.fixture
def made(tmp_path, framework, task):
    """A project of a framework for a task, and what `penstock init` has said."""
    labels = {"regression": range(60), "binary": [0, 1] * 30, "classes": ["a", "b", "c"] * 20}
    rows = zip(range(60), labels[task], strict=True)
    (tmp_path / "data.csv").write_text("size,it\n" + "".join(f"{a}.5,{b}\n" for a, b in rows))
    folder = tmp_path / "mine"
    options = ("--data", tmp_path / "data.csv", "--label", "it", "--framework", framework)
    return folder, init(folder, *options)


@of_all_frameworks
@of_all_tasks
def test_projects_of_all_frameworks_are_python_that_compiles(made, framework):
    folder, said = made
    assert f"the model is trained with {FRAMEWORKS[framework].shown}" in said
    for file in folder.rglob("*.py"):
        compile(file.read_text(), str(file), "exec")
        assert "{{" not in file.read_text()
    asked = tomllib.loads((folder / "pyproject.toml").read_text())["project"]["dependencies"]
    assert asked[0].startswith(f"penstock[{FRAMEWORKS[framework].extra}]")


@pytest.mark.needs("ruff")
@of_all_frameworks
@of_all_tasks
def test_projects_of_all_frameworks_are_as_a_linter_and_a_formatter_want_them(made):
    folder, _ = made
    for command in (["check", "--select=E,F,I,UP,B,RUF"], ["format", "--diff"]):
        ruff = [sys.executable, "-m", "ruff", *command, "--isolated", "--line-length=100", "."]
        done = run_in(folder, *ruff)
        assert done.returncode == 0, done.stdout + done.stderr


def test_without_a_word_a_project_has_the_lightest_framework_that_is_installed(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(Framework, "is_installed", property(lambda self: self.name == "xgboost"))
    assert "the model is trained with XGBoost" in init(tmp_path / "mine")


def test_a_framework_that_is_not_installed_is_told_with_its_command(tmp_path, monkeypatch):
    monkeypatch.setattr(Framework, "is_installed", property(lambda _: False))
    said = init(tmp_path / "mine", "--framework", "torch")
    assert "PyTorch is not installed yet: pip install 'penstock[torch]'" in said


@pytest.mark.parametrize("framework", ["lightgbm", "torch", "xgboost"])
def test_the_tests_of_a_project_of_another_framework_pass(tmp_path, framework):
    if not FRAMEWORKS[framework].is_installed:
        pytest.skip(f"{framework} is not installed here")
    init(tmp_path / "mine", "--framework", framework)
    done = run_in(tmp_path / "mine", "make", "test")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 passed" in done.stdout
