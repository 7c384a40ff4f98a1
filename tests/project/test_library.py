"""Who notices when a module of the library changes: each of them is changed, in a copy."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from penstock.execution.cache import code_digests
from penstock.project import library

ROOT = Path(__file__).parents[2]
FOLDERS = {
    "penstock.components": ROOT / "components",
    "penstock.data": ROOT / "penstock" / "data",
    "penstock.models": ROOT / "penstock" / "models",
    "penstock.serving": ROOT / "penstock" / "serving",
}
COMPONENTS = sorted(
    folder.name
    for folder in FOLDERS["penstock.components"].iterdir()
    if (folder / "component.py").exists()
)
MODULES = sorted(
    str(file.relative_to(ROOT))
    for folder in FOLDERS.values()
    for file in folder.rglob("*.py")
    if file.name != "__init__.py"
)


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with a copy of the library, which is read in its place."""
    for folder in FOLDERS.values():
        shutil.copytree(folder, tmp_path / folder.relative_to(ROOT))
    monkeypatch.setattr(
        library, "_folder", lambda package: tmp_path / FOLDERS[package].relative_to(ROOT)
    )
    return tmp_path


def digests() -> dict[str, str]:
    return {
        name: library.library_digest(f"penstock.components.{name}.component") for name in COMPONENTS
    }


def noticed(path: Path, added: str, before: dict[str, str] | None = None) -> set[str]:
    """Return the components that notice an addition to a file, which is then taken back."""
    before, content = before or digests(), path.read_text()
    path.write_text(content + added)
    after = digests()
    path.write_text(content)
    return {name for name in COMPONENTS if before[name] != after[name]}


def test_a_component_notices_each_module_of_its_own_and_of_others_that_it_imports(copied):
    before = digests()
    imported = {
        name: library.library_modules(f"penstock.components.{name}.component")
        for name in COMPONENTS
    }
    for module in MODULES:
        of_components = module.startswith("components/")
        own = module.split("/")[1] if module.count("/") > 1 and of_components else None
        dotted = module.removesuffix(".py").replace("/", ".")
        dotted = f"penstock.{dotted}" if of_components else dotted
        expected = {name for name in COMPONENTS if dotted in imported[name]}
        assert own is None or own in expected, module
        assert noticed(copied / module, "\nCHANGED = True\n", before) == expected, module


def test_no_component_notices_a_comment(copied):
    before = digests()
    for module in MODULES:
        with open(copied / module, "a") as file:
            file.write("\n# A comment.\n\n")
    assert digests() == before


@pytest.mark.parametrize(
    ("module", "those"),
    [
        (
            "components/schema_gen/schema_file.py",
            {"schema_gen", "statistics_gen", "example_validator", "transform", "evaluator"},
        ),
        ("penstock/models/layout.py", {"trainer", "pusher", "evaluator"}),
        ("components/statistics_gen/in_process.py", {"statistics_gen", "transform"}),
        (
            "components/parquet_example_gen/in_process.py",
            {"parquet_example_gen", "import_example_gen"},
        ),
        ("penstock/data/csv.py", {"csv_example_gen"}),
        ("penstock/serving/server/workers.py", {"infra_validator"}),
    ],
)
def test_siblings_that_are_imported_count(copied, module, those):
    found = noticed(copied / module, "\nCHANGED = True\n")
    assert those <= found, f"{sorted(those - found)} did not notice"


def test_an_unrelated_module_of_the_data_layer_retrains_no_model(copied):
    for module in ("csv.py", "spans.py", "results/anomalies.py", "files/fingerprint.py"):
        assert "trainer" not in noticed(copied / "penstock" / "data" / module, "\nCHANGED = 1\n")


def test_what_is_imported_by_a_function_counts(copied):
    path = copied / "components" / "resolvers" / "component.py"
    path.write_text(
        path.read_text()
        + "\n\ndef late():\n    from penstock.data import spans\n    return spans\n"
    )
    assert "resolvers" in noticed(copied / "penstock" / "data" / "spans.py", "\nCHANGED = 1\n")


def test_what_only_a_type_checker_imports_does_not(copied):
    path = copied / "components" / "resolvers" / "component.py"
    path.write_text(
        path.read_text() + "\n\nif TYPE_CHECKING:\n    from penstock.data import spans\n"
    )
    assert "resolvers" not in noticed(copied / "penstock" / "data" / "spans.py", "\nCHANGED = 1\n")


def test_a_node_of_the_library_records_one_digest_under_its_component_s_name():
    module = "penstock.components.schema_gen.component"
    assert importlib.util.find_spec(module) is not None
    assert list(code_digests(f"{module}.SchemaGenExecutor", {})) == [
        "penstock.components.schema_gen"
    ]


@pytest.fixture
def forgetful(copied, monkeypatch) -> Callable[[], dict[str, str]]:
    """Return digests as a new process does."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    monkeypatch.setattr(sys, "pycache_prefix", None)
    for module in copied.rglob("*.reached"):  # of the library that was copied
        module.unlink()

    def read() -> dict[str, str]:
        library._read.cache_clear()
        library._read_all.cache_clear()
        return digests()

    return read


def test_what_was_found_in_a_module_is_kept_for_the_next_process(forgetful, monkeypatch):
    before = forgetful()
    monkeypatch.setattr(library, "_parsed", lambda *_: pytest.fail("it was read again"))
    assert forgetful() == before


def test_what_is_kept_of_other_bytes_or_is_broken_does_not_count(forgetful, copied):
    before = forgetful()
    places = sorted(copied.rglob("*.reached"))
    places[0].write_bytes(places[1].read_bytes())
    places[2].write_bytes(places[2].read_bytes()[:64] + b"[")
    places[3].write_bytes(places[3].read_bytes()[:64] + b"[]")
    assert forgetful() == before


def test_where_nothing_can_be_kept_digests_are_the_same(forgetful, copied, monkeypatch):
    before = forgetful()
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    for module in copied.rglob("*.reached"):
        module.unlink()
    assert forgetful() == before
    assert not list(copied.rglob("*.reached"))
