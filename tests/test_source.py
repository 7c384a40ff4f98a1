"""Which code counts, and which does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.errors import UserCodeError
from penstock.source import source_digests


@pytest.fixture
def write(tmp_path):
    def write_file(name: str, text: str) -> str:
        path = Path(tmp_path, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return str(path)

    return write_file


def test_the_digests_ignores_comments_and_formatting(write):
    first = source_digests(write("m.py", "def f(a,b):\n    return a+b\n"))
    same = "# comment\ndef f(a, b):  # more\n\n    return (a + b)\n"
    assert source_digests(write("m.py", same)) == first


@pytest.mark.parametrize(
    "text", ["def f(a, b):\n    return a - b\n", "def f(a, b):\n    'Doc.'\n    return a + b\n"]
)
def test_the_digests_sees_code_and_docstrings(write, text):
    first = source_digests(write("m.py", "def f(a, b):\n    return a + b\n"))
    assert source_digests(write("m.py", text)) != first


def test_the_digests_does_not_depend_on_the_folder(write):
    one = source_digests(write("one/m.py", "import features"))
    assert source_digests(write("two/m.py", "import features")) == one


@pytest.mark.parametrize(
    ("importing", "imported"),
    [
        ("import deep", "deep.py"),
        ("from deep import LABEL", "deep.py"),
        ("def f():\n    import deep", "deep.py"),
        ("import pack.deep", "pack/deep.py"),
        ("import pack.deep", "pack/__init__.py"),
        ("from pack import deep", "pack/deep.py"),
    ],
)
def test_the_digests_follows_local_imports(write, importing, imported):
    module = write("m.py", "import middle")
    write("middle.py", importing)
    write("pack/__init__.py", "")
    write("pack/deep.py", "")
    write(imported, "LABEL = 1")
    before = source_digests(module)
    write(imported, "LABEL = 2")
    assert source_digests(module) != before


@pytest.mark.parametrize(
    "importing",
    [
        "from .features import LABEL",
        "from . import features",
        "from ..taxi import features",
        "from lines.taxi.features import LABEL",
        "from longer.name.lines.taxi.features import LABEL",
    ],
)
def test_the_digests_follows_imports_in_a_package(write, importing):
    write("lines/__init__.py", "")
    write("lines/taxi/__init__.py", "")
    module = write("lines/taxi/model.py", importing)
    write("lines/taxi/features.py", "LABEL = 1")
    before = source_digests(module)
    write("lines/taxi/features.py", "LABEL = 2")
    assert source_digests(module) != before


def test_the_digests_leaves_the_libraries_beside_an_installed_package_alone(write):
    write("site-packages/examples/__init__.py", "")
    module = write("site-packages/examples/model.py", "import library, examples.deep.part, near")
    write("site-packages/library.py", "A = 1")
    write("site-packages/examples/deep/part.py", "A = 1")
    write("site-packages/examples/near.py", "A = 1")
    before = source_digests(module)
    write("site-packages/library.py", "A = 2")
    write("site-packages/examples/deep/part.py", "A = 2")
    assert source_digests(module) == before
    write("site-packages/examples/near.py", "A = 2")
    assert source_digests(module) != before


def test_the_digests_of_code_in_a_package_leaves_other_packages_alone(write):
    write("lines/__init__.py", "")
    module = write("lines/model.py", "import library")
    write("library/__init__.py", "A = 1")
    before = source_digests(module)
    write("library/__init__.py", "A = 2")
    assert source_digests(module) == before


def test_the_digests_survives_modules_that_import_each_other(write):
    module = write("a_side.py", "import b_side")
    write("b_side.py", "import a_side")
    assert set(source_digests(module)) == {"a_side.py", "b_side.py"}


def test_the_digests_does_not_run_the_module(write):
    module = write("m.py", "raise SystemExit")
    assert set(source_digests(module)) == {"m.py"}


def test_the_digests_of_what_is_not_python_shows_the_line(write):
    with pytest.raises(UserCodeError, match="The module is not Python") as caught:
        source_digests(write("m.py", "a = 1\nb = = 2\n"))
    assert "m.py:2" in str(caught.value)


MODULE = """
import os
from pathlib import Path
LIMIT = 3
TABLE = {}
def used(x: "Kind") -> int:
    return x + LIMIT
class Kind:
    pass
def entry():
    return used(TABLE)
def other():
    return os.sep
TABLE["a"] = 1
if __name__ == "__main__":
    other()
"""


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("return os.sep", "return os.linesep"),
        ("import os\n", "import os, sys\n"),
        ("    other()", "    entry()"),
        ("def other", "# said\ndef other"),
    ],
)
def test_what_an_entry_does_not_reach_may_change(write, before, after):
    assert before in MODULE
    first = source_digests(write("m.py", MODULE), entry="entry")
    assert source_digests(write("m.py", MODULE.replace(before, after)), entry="entry") == first


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("x + LIMIT", "x - LIMIT"),
        ("LIMIT = 3", "LIMIT = 4"),
        ("return used(TABLE)", "return used(LIMIT)"),
        ('TABLE["a"] = 1', 'TABLE["a"] = 2'),
        ("    pass", "    size = 1"),
        ("TABLE = {}", "TABLE = {}\nprint(os)"),
    ],
)
def test_what_an_entry_reaches_counts(write, before, after):
    assert before in MODULE
    first = source_digests(write("m.py", MODULE), entry="entry")
    assert source_digests(write("m.py", MODULE.replace(before, after)), entry="entry") != first


@pytest.mark.parametrize("anything", ["globals()", "eval('other()')", "__import__('m')"])
def test_all_counts_where_an_entry_could_reach_all(write, anything):
    text = MODULE.replace("return used(TABLE)", f"return {anything}")
    first = source_digests(write("m.py", text), entry="entry")
    changed = text.replace("return os.sep", "return os.linesep")
    assert source_digests(write("m.py", changed), entry="entry") != first


def test_an_entry_follows_only_the_imports_that_it_uses(write):
    module = write(
        "m.py", "import near, far\ndef one():\n    return near\ndef two():\n    return far\n"
    )
    write("near.py", "")
    write("far.py", "")
    assert set(source_digests(module, entry="one")) == {"m.py", "near.py", "far.py"}
    write("m.py", "import near\nimport far\n" + Path(module).read_text().partition("\n")[2])
    assert set(source_digests(module, entry="one")) == {"m.py", "near.py"}
