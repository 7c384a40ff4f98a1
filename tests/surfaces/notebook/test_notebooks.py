"""The notebooks run from their top to their end, and are kept with what they showed."""

from __future__ import annotations

import runpy
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[3]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
LARGEST_BYTES = 500_000

execute = runpy.run_path(str(ROOT / "build" / "notebooks.py"))["execute"]


def name(path):
    return path.stem


def shown(notebook):
    """Return all text that the cells of a notebook have as outputs."""
    outputs = [o for cell in notebook.cells for o in cell.get("outputs", ())]
    return "\n".join(o.get("data", {}).get("text/plain", o.get("text", "")) for o in outputs)


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    return {path.stem: execute(path, str(tmp_path_factory.mktemp(path.stem))) for path in NOTEBOOKS}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=name)
def test_a_notebook_is_kept_with_its_outputs(path):
    kept = nbformat.read(path, as_version=4)
    cells = [cell for cell in kept.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert path.stat().st_size < LARGEST_BYTES


@pytest.mark.parametrize("path", NOTEBOOKS, ids=name)
def test_its_outputs_name_no_folder_of_a_machine(path):
    text = path.read_text(encoding="utf-8")
    assert "/tmp/" not in text
    assert str(ROOT) not in text


def test_penguins_come_to_a_pipeline_that_is_cached_as_a_whole(executed):
    lines = shown(executed["penguins"]).splitlines()
    states = dict(line.split()[:2] for line in lines if line.endswith(" cached"))
    assert {"CsvExampleGen", "SpeciesShares", "Transform", "Trainer", "Evaluator"} <= set(states)


def test_penguins_are_told_apart(executed):
    assert "sparse_categorical_accuracy" in shown(executed["penguins"])


def test_the_bad_month_is_noticed_mended_and_learned_from(executed):
    cells = [c for c in executed["bad_month"].cells if c.cell_type == "code"]
    found = [shown(nbformat.from_dict({"cells": [cell]})) for cell in cells]
    validated = [text for text in found if "anomalies: ExampleAnomalies" in text]
    assert "dep_delay" in validated[0]
    assert "ZZ" in validated[0]
    assert "Out-of-range values" in validated[0]
    assert "Out-of-range values" not in validated[1]
    assert "Unexpected string values" in validated[1]
    assert "Unexpected string values" not in validated[2]
    assert "baseline" in found[-1]
