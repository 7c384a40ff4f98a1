"""The penguins as CSV."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from penstock.artifacts import Tables
from penstock.errors import DataError
from penstock.pipelines.penguins.data import fingerprint, write_data
from penstock.pipelines.penguins.source import PenguinsCsv


def test_writes_all_rows_of_the_package_with_missing_values_empty(tmp_path: Path):
    assert write_data(str(tmp_path / "new")) == 344
    with (tmp_path / "new" / "penguins.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 344
    assert sum(row["sex"] == "" for row in rows) == 11
    assert not any(value == "NA" for row in rows for value in row.values())


def test_the_component_takes_a_folder_of_ones_own(tmp_path: Path):
    own = tmp_path / "own"
    own.mkdir()
    (own / "a.csv").write_text("species\nAdelie\n")
    artifact = Tables()
    artifact.uri = str(tmp_path)
    PenguinsCsv.function(tables=artifact, data_root=str(own), data_fingerprint="f")
    assert (tmp_path / "a.csv").read_text() == "species\nAdelie\n"
    assert artifact.get_string_custom_property("data_fingerprint") == "f"


def test_a_folder_without_csv_is_named(tmp_path: Path):
    with pytest.raises(DataError, match=rf"expected a folder with CSV files.*{tmp_path}"):
        fingerprint(str(tmp_path))


def test_the_fingerprint_follows_the_content(tmp_path: Path):
    path = tmp_path / "a.csv"
    path.write_text("species\nAdelie\n")
    before = fingerprint(str(tmp_path))
    path.write_text("species\nGentoo\n")
    assert fingerprint(str(tmp_path)) != before
    assert fingerprint("") == fingerprint("")
