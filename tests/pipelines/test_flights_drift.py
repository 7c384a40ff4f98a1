"""The drift thresholds of flights: calm in ordinary months, loud where something broke."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet
import pytest
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from penstock.components.merge_tables.in_process import merge
from penstock.data.coding.examples import to_feature_lists
from penstock.pipelines.flights import merged_table
from penstock.pipelines.flights.package_data import export_tables
from penstock.schemas import schema_file

MONTHS = range(1, 13)


@pytest.fixture(scope="module")
def months(tmp_path_factory: pytest.TempPathFactory) -> dict[int, pa.Table]:
    """The merged flights of each month."""
    source, output = tmp_path_factory.mktemp("tables"), tmp_path_factory.mktemp("merged")
    export_tables(str(source))
    merge(
        str(source),
        str(output),
        base=merged_table.FLIGHTS,
        joins=merged_table.JOINS,
        derived=merged_table.DERIVED,
        columns=merged_table.COLUMNS,
        span_column="month",
    )
    return {
        month: pyarrow.parquet.read_table(output / f"span-{month:02d}" / "data.parquet")
        for month in MONTHS
    }


@pytest.fixture(scope="module")
def schema() -> schema_pb2.Schema:
    return text_format.Parse(Path(schema_file("flights")).read_text(), schema_pb2.Schema())


@pytest.fixture(scope="module")
def anomalies(schema: schema_pb2.Schema) -> Callable[[pa.Table, pa.Table], set[str]]:
    """Return the features with anomalies in a table that comes after another."""
    import tensorflow_data_validation as tfdv

    from penstock.components.statistics_gen.in_process import statistics_of_batches
    from penstock.components.statistics_gen.options import statistics_options

    def statistics(table: pa.Table) -> Any:
        batch = to_feature_lists(table.combine_chunks().to_batches()[0])
        return statistics_of_batches([batch], statistics_options(schema=schema))

    def found(table: pa.Table, previous: pa.Table) -> set[str]:
        result = tfdv.validate_statistics(
            statistics(table),
            schema,
            environment="TRAINING",
            previous_statistics=statistics(previous),
        )
        return set(result.anomaly_info)

    return found


@pytest.mark.parametrize("month", MONTHS[1:])
def test_an_ordinary_month_passes(months, anomalies, month: int):
    assert anomalies(months[month], months[month - 1]) == set()


def test_a_year_passes_after_its_first_half(months, anomalies):
    half = pa.concat_tables([months[month] for month in range(1, 7)])
    assert anomalies(pa.concat_tables(months.values()), half) == set()


def test_a_month_without_its_largest_airline_is_noticed(months, anomalies):
    march = months[3]
    without = march.filter(pc.not_equal(march.column("carrier"), "UA"))
    assert "carrier" in anomalies(without, months[2])


def test_a_month_without_an_airport_is_noticed(months, anomalies):
    march = months[3]
    without = march.filter(pc.not_equal(march.column("origin"), "LGA"))
    assert "origin" in anomalies(without, months[2])


def test_delays_in_seconds_are_noticed(months, anomalies):
    march = months[3]
    position = march.column_names.index("dep_delay")
    seconds = pc.multiply(march.column("dep_delay"), 60)
    assert "dep_delay" in anomalies(march.set_column(position, "dep_delay", seconds), months[2])


def test_a_clock_that_is_an_hour_off_is_noticed(months, anomalies):
    march = months[3]
    position = march.column_names.index("dep_delay")
    later = pc.add(march.column("dep_delay"), 60)
    assert "dep_delay" in anomalies(march.set_column(position, "dep_delay", later), months[2])


def test_a_new_airline_is_noticed(months, anomalies):
    march = months[3]
    position = march.column_names.index("carrier")
    carriers = pa.chunked_array([pa.array(["ZZ"]), *march.column("carrier").slice(1).chunks])
    changed = march.set_column(position, "carrier", carriers)
    assert anomalies(changed, months[2]) == {"carrier"}
