"""A planted secret is looked for in what cells show, and in all that a session writes."""

from __future__ import annotations

import json

import pytest

from penstock_support import IMPORT_PATH

CANARY = 'canary-7f"3e\\91-of-the-mine'
SPELLINGS = (CANARY, json.dumps(CANARY)[1:-1], '7f"3e', '7f\\"3e', "of-the-mine", "7f&quot;3e")
CELLS = (
    """
from penstock.notebook import Session
from penstock_support import secret_components as components
session = Session("telling")
token = session.parameter("token", "${env:CANARY}")
""",
    'told = session.run(components.Tells(token=token, expected="CANARY"))\ntold',
    "session.run(components.Returns(token=token))",
    "session.run(components.Raises(token=token))",
    "session.run(components.DiesTelling(token=token))",
    "session",
    'exported = session.export("telling.py")\nexported',
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("secrets")


@pytest.fixture(scope="module")
def cells(folder, run_cells):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CANARY", CANARY)
        patch.setenv("PYTHONPATH", IMPORT_PATH)
        return run_cells(folder, *CELLS)


def holds_it(text: str) -> bool:
    return any(spelling in text for spelling in SPELLINGS)


def test_no_cell_shows_it(cells):
    said = [text for told in cells for text in (told.shown, told.html, told.printed)]
    assert [text for text in said if holds_it(text)] == []


def test_a_failure_names_the_variable_in_its_place(cells):
    assert "the server refuses ${env:CANARY}" in cells[3].printed


def test_no_file_has_it(cells, folder):
    assert (folder / ".penstock" / "metadata.sqlite").stat().st_size > 0
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert [path for path in files if holds_it(path.read_text(errors="replace"))] == []


def test_the_exported_file_refers_to_it(cells, folder):
    assert 'token: str = "${env:CANARY}"' in (folder / "telling.py").read_text()
