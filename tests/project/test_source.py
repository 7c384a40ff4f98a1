"""Which code counts, and which does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.errors import UserCodeError
from penstock.project.source import source_digests, unfollowed_code


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


def test_the_digests_of_an_installed_package_has_its_own_modules_and_no_library(write):
    write("site-packages/lines/__init__.py", "")
    module = write("site-packages/lines/model.py", "import library, lines.deep.part, near")
    write("site-packages/library.py", "A = 1")
    write("site-packages/lines/deep/part.py", "A = 1")
    write("site-packages/lines/near.py", "A = 1")
    assert set(source_digests(module)) == {
        "lines/__init__.py",
        "lines/model.py",
        "lines/deep/part.py",
        "lines/near.py",
    }


def test_the_digests_of_an_installed_module_has_no_library(write):
    module = write("site-packages/model.py", "import library")
    write("site-packages/library.py", "A = 1")
    assert set(source_digests(module)) == {"model.py"}


def test_the_digests_of_an_example_that_a_library_brings_leaves_the_library_alone(write):
    write("site-packages/tfx/examples/taxi/features.py", "A = 1")
    write("site-packages/tfx/v1.py", "A = 1")
    for folder in ("tfx", "tfx/examples", "tfx/examples/taxi"):
        write(f"site-packages/{folder}/__init__.py", "")
    module = write(
        "site-packages/tfx/examples/taxi/model.py",
        "from tfx import v1\nfrom tfx.examples.taxi import features",
    )
    assert {name for name in source_digests(module) if not name.endswith("__init__.py")} == {
        "tfx/examples/taxi/model.py",
        "tfx/examples/taxi/features.py",
    }


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
    with pytest.raises(UserCodeError, match="the module is not Python") as caught:
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
    together = source_digests(module, entry="one")
    assert set(together) == {"m.py", "near.py"}
    write("m.py", "import near\nimport far\n" + Path(module).read_text().partition("\n")[2])
    assert source_digests(module, entry="one") == together


EFFECTS = """
from functools import cache
from tables import fill
TABLE = {}
STACK = []
NAMES = ["a"]
def register(f):
    TABLE[f.__name__] = f
    return f
def logged(f):
    return f
for name in NAMES:
    STACK.append(name)
last = STACK.pop()
@register
def registered():
    return 1
@logged
def beside():
    return 1
@fill
def filled():
    return 1
@cache
def remembered():
    return 1
@logged
def entry():
    return TABLE, STACK
"""


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("STACK.append(name)", "STACK.append(name + name)"),
        ("last = STACK.pop()", "last = None"),
        ("registered():\n    return 1", "registered():\n    return 2"),
        ("filled():\n    return 1", "filled():\n    return 2"),
        ('NAMES = ["a"]', 'NAMES = ["b"]'),
    ],
)
def test_what_changes_the_values_that_an_entry_reads_counts(write, before, after):
    assert before in EFFECTS
    write("tables.py", "def fill(f): return f")
    first = source_digests(write("m.py", EFFECTS), entry="entry")
    assert source_digests(write("m.py", EFFECTS.replace(before, after)), entry="entry") != first


@pytest.mark.parametrize("name", ["beside", "remembered"])
def test_a_decorator_that_changes_nothing_of_the_module_keeps_no_function(write, name):
    write("tables.py", "def fill(f): return f")
    first = source_digests(write("m.py", EFFECTS), entry="entry")
    changed = EFFECTS.replace(f"{name}():\n    return 1", f"{name}():\n    return 2")
    assert changed != EFFECTS
    assert source_digests(write("m.py", changed), entry="entry") == first


@pytest.mark.parametrize(
    "importing",
    [
        "import importlib\ndef f():\n    importlib.import_module('deep')",
        "from importlib import import_module\ndef f():\n    import_module(name='deep')",
        "def f():\n    __import__('deep')",
        "import runpy\ndef f():\n    runpy.run_module('deep')",
        "import importlib\nNAME = 'deep'\ndef f():\n    importlib.import_module(NAME)",
        "import importlib\ndef f():\n    importlib.import_module('.deep', __package__)",
        "import importlib\nMODULES = [importlib.import_module('pack.deep')]",
    ],
)
def test_a_module_that_is_imported_by_its_name_as_text_counts(write, importing):
    module = write("m.py", importing)
    write("pack/__init__.py", "")
    for name in ("deep.py", "pack/deep.py"):
        write(name, "LABEL = 1")
    before = [source_digests(module), source_digests(module, entry="f")]
    for name in ("deep.py", "pack/deep.py"):
        write(name, "LABEL = 2")
    after = [source_digests(module), source_digests(module, entry="f")]
    assert before[0] != after[0]
    assert before[1] != after[1]
    assert unfollowed_code(module) == []


@pytest.mark.parametrize(
    ("text", "called"),
    [
        ("import importlib\ndef f(name):\n    importlib.import_module(name)", "import_module"),
        ("def f():\n    for name in 'ab':\n        __import__(name)", "__import__"),
        ("import runpy\ndef f():\n    runpy.run_path(\n        'x.py')", "run_path"),
        ("\ndef f():\n    exec(open('x.py').read())", "exec"),
        ("\nNAME = 'a'; NAME = 'b'\n__import__(NAME)\ndef f(): pass", "__import__"),
        (
            "\nfrom importlib.util import spec_from_file_location\n"
            "S = spec_from_file_location('x', '/x.py')\ndef f(): return S",
            "spec_from_file_location",
        ),
    ],
)
def test_what_is_known_only_when_the_code_runs_is_told(write, text, called):
    for entry in (None, "f"):
        (told,) = unfollowed_code(write("m.py", text), entry=entry)
        assert told == f"what {called} runs in m.py, line 3"


def test_what_an_entry_does_not_reach_is_not_told(write):
    text = "def f():\n    return 1\ndef g(name):\n    __import__(name)\n"
    assert unfollowed_code(write("m.py", text), entry="f") == []


def test_a_local_module_elsewhere_on_the_path_is_told(write, monkeypatch, tmp_path):
    write("library/shared_features_of_two.py", "")
    monkeypatch.syspath_prepend(str(tmp_path / "library"))
    module = write("project/m.py", "import json, numpy, shared_features_of_two")
    assert unfollowed_code(module) == [
        f"{tmp_path}/library/shared_features_of_two.py, which m.py imports"
    ]
