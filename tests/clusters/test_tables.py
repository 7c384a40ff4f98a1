"""Tables that are merged by the workers of a real Spark and a real Ray."""

from __future__ import annotations

import shutil

import pytest

from penstock.components.merge_tables import in_parts
from penstock.components.merge_tables.in_process import merge
from penstock.components.merge_tables.tables import (
    Condition,
    DropRule,
    Join,
    SourceTable,
)
from penstock.errors import DataError

pytestmark = pytest.mark.timeout(180)

ROWS = 20_000


@pytest.fixture
def source(tmp_path):
    """A table in row groups, a third of whose rows are there twice, and one to join."""
    import numpy as np
    import pyarrow as pa
    from pyarrow import parquet

    random = np.random.default_rng(0)
    folder = tmp_path / "source"
    folder.mkdir()
    numbers = pa.array(random.integers(0, ROWS, ROWS))
    ports = pa.array(random.choice(["A", "B", "C"], ROWS))
    months = pa.array(random.integers(1, 4, ROWS))
    trips = pa.table({"number": numbers, "port": ports, "month": months})
    parquet.write_table(trips, folder / "trips.parquet", row_group_size=2_000)
    parquet.write_table(pa.table({"port": ["A", "B"], "depth": [5, 7]}), folder / "ports.parquet")
    return folder


def merged(source, folder, cluster=None, above=19_000):
    output = folder / "out"
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True)
    counts = merge(
        str(source),
        str(output),
        base=SourceTable("trips", drop=(DropRule("large", "number", Condition.ABOVE, above),)),
        joins=(Join(SourceTable("ports"), on=("port",)),),
        columns=("number", "port", "depth"),
        span_column="month",
        temporary=str(folder / "temporary"),
        cluster=cluster,
    )
    files = sorted(path for path in output.rglob("*") if path.is_file())
    return counts, {str(path.relative_to(output)): path.read_bytes() for path in files}


def test_what_workers_merge_is_what_one_process_merges(cluster, source, tmp_path, monkeypatch):
    at_once = merged(source, tmp_path)
    monkeypatch.setattr(in_parts, "PART_BYTES", 20_000)
    assert merged(source, tmp_path, cluster.options) == at_once
    assert len(at_once[1]) == 4


def test_a_rule_that_does_not_fit_is_told_as_in_one_process(cluster, source, tmp_path, monkeypatch):
    monkeypatch.setattr(in_parts, "PART_BYTES", 20_000)
    with pytest.raises(DataError, match=r"rule 'large' of table trips compares number \(int64\)"):
        merged(source, tmp_path, cluster.options, above="many")
