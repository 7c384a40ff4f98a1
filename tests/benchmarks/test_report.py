"""The benchmark's page and plots, from made-up measurements, and its data."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

RECIPES = Path(__file__).parents[2] / "build" / "benchmarks"


PLOTS = ["time-by-node", "time-by-rows", "steps-by-rows", "memory-by-rows"]


@pytest.fixture
def recipes(monkeypatch):
    monkeypatch.syspath_prepend(str(RECIPES))
    yield
    for path in RECIPES.glob("*.py"):
        sys.modules.pop(path.stem, None)


@pytest.mark.parametrize("script", sorted(path.stem for path in RECIPES.glob("*.py")))
def test_every_script_finds_what_it_imports(recipes, script):
    assert importlib.import_module(script).__doc__


def measurement(engine: str, rows: int, repeat: int, seconds: float) -> dict[str, object]:
    from both_pipelines import NODES

    return {
        "what": "run" if rows else "define",
        "engine": engine,
        "rows": rows,
        "repeat": repeat,
        "seconds": seconds,
        "nodes": dict.fromkeys(NODES, seconds / 10) if rows else {},
        "memory": dict.fromkeys(NODES, seconds * 1e6) if rows else {},
        "peak": int(seconds * 1e7),
    }


@pytest.fixture
def page(recipes, tmp_path):
    import report

    found = []
    for repeat in range(3):
        for rows in (0, 1000, 100_000):
            found.append(measurement("tfx", rows, repeat, 100.0 + repeat + rows / 1000))
            found.append(measurement("penstock", rows, repeat, 10.0 + repeat))
    found.append(measurement("penstock", 1_000_000, 0, 90.0))
    measured = {
        "libraries": {"tfx": "1"},
        "python": "3",
        "cpus": 2,
        "repeats": 3,
        "measurements": found,
    }
    report.write(measured, tmp_path)
    return tmp_path


def test_the_page_has_medians_with_their_spread_and_the_ratio(page):
    text = (page / "benchmarks.md").read_text()
    row = "102.0 (101.0 to 103.0) | 11.0 (10.0 to 12.0) | **9.3** (8.6 to 10.1) |"
    assert row in text


def test_the_page_says_how_a_step_grows_beyond_what_tfx_was_given(page):
    text = (page / "benchmarks.md").read_text()
    assert "1.1 (11.0; 11 MB) | 9.0 (9.0; 90 MB) |" in text
    assert "## 1,000,000 rows" not in text


@pytest.mark.parametrize("name", PLOTS)
def test_every_plot_is_a_picture_with_a_name(page, name):
    root = ElementTree.parse(page / "images" / f"{name}.svg").getroot()
    assert root.get("aria-label")
    assert len(list(root.iter())) > 10


def test_generated_rides_are_the_same_every_time(recipes):
    from rides import rides

    assert rides(500).equals(rides(500))
    assert rides(500).num_columns == 18


def test_generated_rides_lack_values_and_have_two_labels(recipes):
    from both_pipelines import LABEL
    from rides import rides

    table = rides(500)
    assert table["company"].null_count > 50
    assert set(table[LABEL].to_pylist()) == {0, 1}
