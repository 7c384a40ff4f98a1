"""Compiled templates: kept for the next process, and never in the place of others."""

from __future__ import annotations

import sys
from pathlib import Path

import jinja2
import pytest

from penstock.report.compiled import KeptBeside

pytestmark = pytest.mark.core


class Counting(jinja2.Environment):
    """Counts how many templates it has compiled."""

    compiled = 0

    def compile(self, *arguments, **keywords):
        """Count, and compile."""
        self.compiled += 1
        return super().compile(*arguments, **keywords)


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    monkeypatch.setattr(sys, "pycache_prefix", None)
    (tmp_path / "a.html").write_text("one {{ 1 + 1 }}")
    return tmp_path


def rendered(folder: Path, name: str = "a.html") -> tuple[str, int]:
    """Return what a template gives in a new process, and how many were compiled for it."""
    templates = Counting(loader=jinja2.FileSystemLoader(folder), bytecode_cache=KeptBeside())
    return templates.get_template(name).render(), templates.compiled


def kept(folder: Path) -> list[Path]:
    return list((folder / "__pycache__").iterdir())


def test_a_template_is_compiled_once(folder):
    assert rendered(folder) == ("one 2", 1)
    assert rendered(folder) == ("one 2", 0)


def test_a_template_that_has_changed_is_compiled_anew(folder):
    rendered(folder)
    (folder / "a.html").write_text("two {{ 1 + 1 }}")
    assert rendered(folder) == ("two 2", 1)


def test_another_jinja_compiles_anew(folder, monkeypatch):
    rendered(folder)
    monkeypatch.setattr("importlib.metadata.version", lambda _: "99")
    assert rendered(folder) == ("one 2", 1)


def test_what_is_kept_and_damaged_is_compiled_anew(folder):
    rendered(folder)
    [path] = kept(folder)
    path.write_bytes(path.read_bytes()[:70])
    assert rendered(folder) == ("one 2", 1)


def test_templates_that_differ_in_their_endings_do_not_take_each_others_place(folder):
    (folder / "a.txt").write_text("text")
    rendered(folder)
    rendered(folder, "a.txt")
    assert rendered(folder) == ("one 2", 0)


def test_whoever_may_read_the_folder_may_read_what_is_kept(folder):
    (folder / "__pycache__").mkdir(mode=0o755)
    rendered(folder)
    [path] = kept(folder)
    assert path.stat().st_mode & 0o777 == 0o644


def test_nothing_is_written_where_python_is_to_write_nothing(folder, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    assert rendered(folder) == ("one 2", 1)
    assert not (folder / "__pycache__").exists()


def test_a_folder_that_cannot_be_written_is_no_hindrance(folder):
    (folder / "__pycache__").write_text("a file in its place")
    assert rendered(folder) == ("one 2", 1)
