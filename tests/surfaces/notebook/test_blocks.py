"""What is shown reads the same in a notebook and on a terminal."""

from __future__ import annotations

import pytest
from markupsafe import Markup

from penstock.surfaces.notebook.blocks import (
    Drawn,
    Line,
    Section,
    Table,
    sparkline,
    to_html,
    to_text,
)

pytestmark = pytest.mark.core

TABLE = Table(
    ("feature", "rows"),
    (("<b>", "1"), (Drawn(Markup("<svg></svg>"), "▁█"), "22")),
    numbers=frozenset({1}),
)
BLOCKS = [Line("Done", "good"), Section("output: Schema", (TABLE,))]


def test_text_is_a_table_with_characters_for_pictures():
    assert to_text(BLOCKS).splitlines() == [
        "Done",
        "output: Schema",
        "  feature  rows",
        "  <b>         1",
        "  ▁█         22",
    ]


def test_html_escapes_data_and_draws_pictures():
    html = to_html(BLOCKS)
    assert "&lt;b&gt;" in html
    assert "<svg></svg>" in html


def test_html_needs_nothing_from_elsewhere():
    html = to_html(BLOCKS)
    assert "<script" not in html
    assert "://" not in html


def test_a_sparkline_has_a_character_a_bar():
    assert sparkline([0, 1, 2]) == "▁▅█"
    assert sparkline([0, 0]) == ""
