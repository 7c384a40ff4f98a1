"""What a function of cells needs to stand in a module."""

from __future__ import annotations

import subprocess
import sys

import pytest

from penstock.errors import UserCodeError
from penstock.surfaces.notebook.cells import Cell, Cells

pytestmark = pytest.mark.core


def cells(*sources):
    """Cells that were executed in this order, and what they made."""
    namespace: dict = {}
    for source in sources:
        exec(source, namespace)
    listed = [Cell(number, source) for number, source in enumerate(sources, 1)]
    return Cells(listed, namespace)


def module(*sources, entry="entry"):
    return cells(*sources).extract(entry).source("Doc.")


def body(text):
    return text.partition("from __future__ import annotations\n")[2].strip()


def test_an_entry_brings_the_imports_functions_and_values_that_it_uses():
    text = module(
        "import os\nimport json, sys\nfrom pathlib import Path, PurePath",
        "LIMIT = 3\nOTHER = 4",
        "def helper(x):\n    return json.dumps(x + LIMIT)",
        "def unused():\n    return os.sep",
        "def entry(path: Path):\n    return helper(len(path.parts))",
    )
    assert body(text) == (
        "import json\nfrom pathlib import Path\n\nLIMIT = 3\n\n\n"
        "def helper(x):\n    return json.dumps(x + LIMIT)\n\n\n"
        "def entry(path: Path):\n    return helper(len(path.parts))"
    )


def test_the_last_definition_counts():
    assert "return 2" in module("def entry():\n    return 1", "def entry():\n    return 2")


def test_what_changes_a_value_comes_with_it():
    text = module("T = {}", "T['a'] = 1\nT.update(b=2)", "U = 1\nU += 1", "entry = lambda: (T, U)")
    assert "T['a'] = 1\nT.update(b=2)" in text
    assert "U += 1" in text


def test_what_is_needed_at_once_stands_before_it():
    text = module("A = 1", "def entry(a=A):\n    return a", "A = 2")
    assert text.index("A = 2") < text.index("def entry")
    assert "A = 1" not in text


def test_a_comment_above_a_definition_stays():
    assert "# why\ndef entry" in module("X = 1\n# why\ndef entry():\n    return 1")


def test_a_local_name_is_no_global():
    assert body(module("rows = 1", "def entry():\n    rows = 2\n    return rows")).startswith("def")


def test_the_module_runs(tmp_path):
    text = module(
        "from dataclasses import dataclass, field",
        "@dataclass\nclass Base:\n    x: int = 1",
        "@dataclass\nclass Derived(Base):\n    y: list = field(default_factory=list)",
        "SQUARES = [n * n for n in range(3)]\ntry:\n    import numpy as np\nexcept ImportError:"
        "\n    np = None",
        "def entry():\n    return Derived(), SQUARES, np",
    )
    (tmp_path / "made.py").write_text(text)
    subprocess.run([sys.executable, "-c", "import made; made.entry()"], cwd=tmp_path, check=True)


@pytest.mark.parametrize(
    ("sources", "reason"),
    [
        (
            ("for rows in range(3):\n    pass", "def entry():\n    return rows"),
            "cell [1]: `rows`, which entry uses, is made inside a block",
        ),
        (
            ("def get_ipython():\n    pass\nX = get_ipython()", "def entry():\n    return X"),
            "cell [1]: `X`, which entry uses, is made by a magic command",
        ),
        (
            ("exec('hidden = 1')", "def entry():\n    return hidden"),
            "`hidden`, which entry uses, is made by no cell",
        ),
    ],
)
def test_what_cannot_stand_in_a_module_is_named_by_cell_and_reason(sources, reason):
    with pytest.raises(UserCodeError) as error:
        module(*sources)
    assert reason in str(error.value)


def test_everything_that_cannot_is_named_at_once():
    with pytest.raises(UserCodeError) as error:
        module("for a in [1]:\n    b = a", "def entry():\n    return a, b")
    assert "`a`" in str(error.value)
    assert "`b`" in str(error.value)


def test_cells_that_are_no_python_are_passed_over():
    made = Cells([Cell(1, "this is not"), Cell(2, "def entry():\n    return 1")], {})
    assert "def entry" in made.extract("entry").source("Doc.")
