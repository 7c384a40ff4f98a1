from __future__ import annotations

import importlib.util
import runpy
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_distribution_has_every_folder_with_python_files():
    declared = set(runpy.run_path(str(ROOT / "setup.py"))["packages"]())
    found = set()
    for top, name in {
        "penstock": "penstock",
        "components": "penstock.components",
        "pipelines": "penstock.pipelines",
        "schemas": "penstock.schemas",
    }.items():
        for file in (ROOT / top).rglob("*.py"):
            found.add(".".join((name, *file.parent.relative_to(ROOT / top).parts)))
    assert found == declared


def test_components_are_importable_as_part_of_penstock():
    spec = importlib.util.find_spec("penstock.components")
    assert list(spec.submodule_search_locations) == [str(ROOT / "components")]


def test_what_is_locked_comes_from_an_index_with_the_digest_of_each_file():
    lock = tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))
    others = [package for package in lock["package"] if package["name"] != "penstock"]
    assert {tuple(package["source"]) for package in others} == {("registry",)}
    for package in others:
        files = [*package.get("wheels", ()), *filter(None, [package.get("sdist")])]
        assert files, package["name"]
        assert all(file["hash"].startswith("sha256:") for file in files), package["name"]
