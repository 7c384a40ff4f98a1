"""Tables merged: what is dropped, joined and written, and that every row is accounted for."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.artifacts import Tables
from penstock.components.merge_tables import in_parts
from penstock.components.merge_tables.cleaning import duplicated, row_hashes
from penstock.components.merge_tables.component import MergeTables
from penstock.components.merge_tables.counts import (
    JoinCounts,
    MergeCounts,
    TableCounts,
    check_sums,
)
from penstock.components.merge_tables.fingerprint import fingerprint
from penstock.components.merge_tables.in_process import merge, source_folder
from penstock.components.merge_tables.joining import DuplicateKeysError, join_tables
from penstock.components.merge_tables.reading import read_table
from penstock.components.merge_tables.tables import (
    Condition,
    DerivedColumn,
    DropRule,
    Join,
    JoinKind,
    Operation,
    SourceTable,
)
from penstock.errors import DataError, ParameterError

pytestmark = pytest.mark.core

TRIPS = """month,port,boat,minutes
1,A,x,10
1,A,x,10
1,B,,20
2,A,y,
2,C,z,40
3,A,x,999
"""
PORTS = "port,depth\nA,5\nB,7\nB,7\n"
BASE = SourceTable(
    "trips",
    drop=(
        DropRule("not_run", "minutes", Condition.MISSING),
        DropRule("too_long", "minutes", Condition.ABOVE, 500),
    ),
)
TO_PORTS = Join(SourceTable("ports"), on=("port",))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the tables trips (with a duplicate) and ports (too)."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "trips.csv").write_text(TRIPS)
    (source / "ports.csv").write_text(PORTS)
    (tmp_path / "out").mkdir()
    return source


def merged(folder: Path, **changes) -> tuple[MergeCounts, Path]:
    """Return the counts of a merge and the folder it wrote to."""
    output = folder.parent / "out"
    arguments = {
        "base": BASE,
        "joins": (TO_PORTS,),
        "columns": ("port", "minutes", "depth"),
        "span_column": "month",
    }
    return merge(str(folder), str(output), **arguments | changes), output


def rows(path: Path) -> list[dict]:
    return pyarrow.parquet.read_table(path).to_pylist()


def test_counts_every_row_that_is_read_dropped_matched_and_written(folder: Path):
    counts, _ = merged(folder)
    assert counts == MergeCounts(
        tables={
            "trips": TableCounts(6, 1, {"not_run": 1, "too_long": 1}, 3),
            "ports": TableCounts(3, 1, {}, 2),
        },
        joins=[JoinCounts("ports", "left", 3, 2, 1, 3)],
        beyond_last_span=0,
        written={"span-01": 2, "span-02": 1},
        base="trips",
    )


def test_writes_the_chosen_columns_of_each_span(folder: Path):
    _, output = merged(folder)
    assert rows(output / "span-01" / "data.parquet") == [
        {"port": "A", "minutes": 10, "depth": 5},
        {"port": "B", "minutes": 20, "depth": 7},
    ]
    assert rows(output / "span-02" / "data.parquet") == [
        {"port": "C", "minutes": 40, "depth": None}
    ]


def test_writes_the_counts_beside_the_data(folder: Path):
    counts, output = merged(folder)
    assert json.loads((output / "_counts.json").read_text()) == counts.to_json()


def test_leaves_out_spans_beyond_the_last_and_counts_their_rows(folder: Path):
    counts, output = merged(folder, last_span=1)
    assert (counts.beyond_last_span, counts.written) == (1, {"span-01": 2})
    assert not (output / "span-02").exists()


def test_an_inner_join_drops_rows_without_a_match(folder: Path):
    counts, _ = merged(folder, joins=(replace(TO_PORTS, kind=JoinKind.INNER),))
    assert counts.joins == [JoinCounts("ports", "inner", 3, 2, 1, 2)]
    assert counts.rows_written == 2


def test_without_a_span_column_all_rows_are_one_file(folder: Path):
    counts, output = merged(folder, span_column=None)
    assert counts.written == {"": 3}
    assert len(rows(output / "data.parquet")) == 3


def test_the_same_tables_give_the_same_bytes(folder: Path):
    _, output = merged(folder)
    first = (output / "span-01" / "data.parquet").read_bytes()
    merged(folder)
    assert (output / "span-01" / "data.parquet").read_bytes() == first


def test_parquet_and_csv_sources_give_the_same(folder: Path):
    from_csv, _ = merged(folder)
    table = pa.table({"port": ["A", "B", "B"], "depth": [5, 7, 7]})
    (folder / "ports.csv").unlink()
    pyarrow.parquet.write_table(table, folder / "ports.parquet")
    assert merged(folder)[0] == from_csv


def test_a_folder_of_files_is_one_table(folder: Path):
    (folder / "ports.csv").unlink()
    (folder / "ports").mkdir()
    (folder / "ports" / "1.csv").write_text("port,depth\nA,5\n")
    (folder / "ports" / "2.csv").write_text("port,depth\nB,7\n")
    counts, _ = merged(folder)
    assert counts.tables["ports"] == TableCounts(2, 0, {}, 2)


@pytest.mark.parametrize(
    ("one", "other", "common"),
    [
        (pa.array([5], pa.int32()), pa.array([7]), pa.int64()),
        (pa.array([5]), pa.array([7.5]), pa.float64()),
        (pa.nulls(1), pa.array(["a"]), pa.string()),
        (pa.array(["a"]).dictionary_encode(), pa.array(["b"], pa.large_string()), None),
    ],
)
def test_files_of_a_table_may_differ_in_types_that_one_type_holds(folder, one, other, common):
    (folder / "ports").mkdir()
    for number, column in enumerate((one, other)):
        table = pa.table({"depth": column, "port": pa.array(["A"])})
        columns = ["depth", "port"] if number else ["port", "depth"]
        pyarrow.parquet.write_table(table.select(columns), folder / f"ports/{number}.parquet")
    (folder / "ports.csv").unlink()
    read = read_table(str(folder), SourceTable("ports"))
    assert read.schema.field("depth").type == (common or pa.large_string())
    assert read["depth"].to_pylist() == [*one.to_pylist(), *other.to_pylist()]
    assert read.column_names == ["port", "depth"]


def test_types_that_no_type_holds_are_named_with_both_files(folder):
    (folder / "ports.csv").unlink()
    (folder / "ports").mkdir()
    (folder / "ports" / "1.csv").write_text("port,depth\nA,5\n")
    (folder / "ports" / "2.csv").write_text("port,depth\nB,deep\n")
    with pytest.raises(DataError, match=r"column is string here and int64 in 1\.csv .*2\.csv, col"):
        read_table(str(folder), SourceTable("ports"))


def test_refuses_a_join_that_multiplies_rows_and_names_the_keys(folder: Path):
    (folder / "ports.csv").write_text("port,depth\nA,5\nB,7\nB,8\n")
    with pytest.raises(DuplicateKeysError) as caught:
        merged(folder)
    assert caught.value.keys == [{"port": "B"}]
    assert str(caught.value) == (
        "the join with ports would multiply rows: 1 of its keys (port) are there more than once: "
        "port='B'. Add a column to the keys that tells them apart, or a drop rule that keeps one."
    )


def test_refuses_two_columns_of_one_name(folder: Path):
    (folder / "ports.csv").write_text("port,minutes\nA,5\n")
    with pytest.raises(DataError, match="would give two columns 'minutes'.*rename="):
        merged(folder)


def test_refuses_keys_of_different_types(folder: Path):
    (folder / "ports.csv").write_text("port,depth\n1,5\n")
    with pytest.raises(DataError, match="'port', which is string on the left and int64 in ports"):
        merged(folder)


def test_a_missing_key_matches_nothing():
    left = pa.table({"boat": ["x", None]})
    right = pa.table({"boat": ["x", None], "size": [1, 2]})
    joined, counts = join_tables(left, right, Join(SourceTable("boats"), on=("boat",)))
    assert joined.column("size").to_pylist() == [1, None]
    assert (counts.matched, counts.unmatched) == (1, 1)


def test_integers_with_gaps_stay_integers(folder: Path):
    _, output = merged(folder)
    schema = pyarrow.parquet.read_schema(output / "span-02" / "data.parquet")
    assert schema.field("depth").type == pa.int64()


@pytest.mark.parametrize(
    ("condition", "value", "dropped"),
    [
        (Condition.MISSING, None, 1),
        (Condition.BELOW, 20, 2),
        (Condition.ABOVE, 20, 2),
        (Condition.EQUAL, 10, 2),
        (Condition.NOT_EQUAL, 10, 3),
    ],
)
def test_a_missing_value_meets_no_condition_but_missing(folder: Path, condition, value, dropped):
    (folder / "trips.csv").write_text(TRIPS.replace("1,A,x,10\n", "1,A,v,10\n", 1))
    base = replace(BASE, drop=(DropRule("rule", "minutes", condition, value),))
    counts, _ = merged(folder, base=base)
    assert counts.tables["trips"].dropped == {"rule": dropped}


def test_derives_a_label_and_the_weekday(folder: Path):
    (folder / "trips.csv").write_text(
        "year,month,day,minutes\n2013,1,1,14\n2012,2,29,15\n1969,12,31,\n"
    )
    derived = (
        DerivedColumn("late", Operation.AT_LEAST, ("minutes",), 15),
        DerivedColumn("weekday", Operation.WEEKDAY, ("year", "month", "day")),
    )
    _, output = merged(
        folder,
        base=SourceTable("trips"),
        joins=(),
        derived=derived,
        columns=("late", "weekday"),
        span_column=None,
    )
    assert rows(output / "data.parquet") == [
        {"late": 0, "weekday": 2},
        {"late": 1, "weekday": 3},
        {"late": None, "weekday": 3},
    ]


def test_names_the_nearest_column_for_one_that_is_not_there(folder: Path):
    with pytest.raises(DataError, match="no column 'depht' to write.*Did you mean 'depth'"):
        merged(folder, columns=("depht",))


def test_names_the_tables_that_there_are(folder: Path):
    with pytest.raises(DataError, match="expected a table 'trip'.*Did you mean 'trips'"):
        merged(folder, base=SourceTable("trip"))


def test_names_the_file_that_lacks_a_column(folder: Path):
    with pytest.raises(DataError, match=r"column 'boats' of table trips \(.*trips\.csv\)"):
        merged(folder, base=replace(BASE, columns=("month", "boats")))


def test_a_rule_that_cannot_compare_says_so(folder: Path):
    base = replace(BASE, drop=(DropRule("rule", "port", Condition.ABOVE, 3),))
    with pytest.raises(DataError, match=r"rule 'rule' of table trips compares port \(string\)"):
        merged(folder, base=base)


def test_spans_are_whole_numbers(folder: Path):
    with pytest.raises(DataError, match="spans are whole numbers from 0, and .* 'port' is string"):
        merged(folder, span_column="port")


def test_counts_that_do_not_add_up_are_an_error():
    lost = MergeCounts({"t": TableCounts(5, 1, {"rule": 1}, 2)}, [], 0, {"": 2}, "t")
    with pytest.raises(DataError, match="duplicates and dropped are 3, but kept are 2"):
        check_sums(lost)


def test_a_join_that_makes_rows_up_is_an_error():
    made_up = MergeCounts(
        {"t": TableCounts(2, 0, {}, 2)}, [JoinCounts("u", "left", 2, 1, 1, 3)], 0, {"": 3}, "t"
    )
    with pytest.raises(DataError, match="join with u: left join are 2, but rows out are 3"):
        check_sums(made_up)


def test_the_fingerprint_is_that_of_the_content(folder: Path):
    before = fingerprint(str(folder))
    (folder / "ports.csv").write_text(PORTS)
    assert fingerprint(str(folder)) == before
    (folder / "ports.csv").write_text(PORTS.replace("5", "6"))
    assert fingerprint(str(folder)) != before


def test_takes_exactly_one_source():
    with pytest.raises(ParameterError, match="neither is given"):
        source_folder(None, None)
    with pytest.raises(ParameterError, match="both are given"):
        source_folder("a", "b")


def test_the_component_puts_the_counts_on_its_artifact(folder: Path):
    artifact = Tables()
    artifact.uri = str(folder.parent / "out")
    MergeTables.function(
        tables=artifact, input_base=str(folder), base=BASE, joins=(TO_PORTS,), columns=("port",)
    )
    assert artifact.get_int_custom_property("rows_read") == 6
    assert artifact.get_int_custom_property("rows_written") == 3
    counts = artifact.get_json_value_custom_property("counts")
    assert counts["tables"]["trips"]["dropped"] == {"not_run": 1, "too_long": 1}


KEYS = st.one_of(st.none(), st.integers(0, 5))


@settings(max_examples=40, deadline=None)
@given(left=st.lists(KEYS, max_size=12), right=st.sets(st.integers(0, 5)))
def test_a_join_finds_what_a_dictionary_finds(left: list[int | None], right: set[int]):
    looked_up = {key: key * 10 for key in right}
    joined, counts = join_tables(
        pa.table({"key": pa.array(left, pa.int64())}),
        pa.table({"key": pa.array(list(right), pa.int64()), "value": [k * 10 for k in right]}),
        Join(SourceTable("right"), on=("key",)),
    )
    assert joined.column("value").to_pylist() == [looked_up.get(key) for key in left]
    assert counts.matched == sum(key in looked_up for key in left)


def content(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def made(folder: Path, rows: int = 500) -> Path:
    """Write a table of two files, one in row groups, with duplicates, and one to join."""
    random = np.random.default_rng(0)
    source = folder / "source"
    (source / "trips").mkdir(parents=True)
    for number, kind in enumerate((pa.int64(), pa.float64())):
        table = pa.table(
            {
                "month": pa.array(random.integers(1, 4, rows)),
                "port": random.choice(["A", "B", "C", "Oslo", None], rows),
                "minutes": pa.array(random.choice([10, 20, None, 600], rows), kind),
            }
        )
        path = source / "trips" / f"{number}.parquet"
        pyarrow.parquet.write_table(table, path, row_group_size=100)
    ports = pa.table({"port": ["A", "B", "C"], "depth": [5, 7, None]})
    pyarrow.parquet.write_table(ports, source / "ports.parquet")
    return source


@pytest.mark.parametrize("span_column", ["month", None])
def test_parts_write_what_a_merge_at_once_writes(tmp_path, monkeypatch, span_column):
    source = made(tmp_path)
    changes = {"span_column": span_column, "last_span": 2, "temporary": str(tmp_path / "tmp")}
    (tmp_path / "out").mkdir()
    counts, output = merged(source, **changes)
    at_once = content(output)
    shutil.rmtree(output)
    output.mkdir()
    monkeypatch.setattr(in_parts, "PART_BYTES", 1000)
    assert in_parts.count(str(source), BASE) > 2
    told = []
    assert merged(source, **changes, progress=lambda rows: told.append(rows))[0] == counts
    assert content(output) == at_once
    assert told[-1] == counts.rows_read == 1000
    assert len(told) > 2
    assert counts.tables["trips"].duplicates > 0


def test_a_rule_that_does_not_fit_is_told_by_a_merge_in_parts(tmp_path, monkeypatch):
    source = made(tmp_path)
    (tmp_path / "out").mkdir()
    monkeypatch.setattr(in_parts, "PART_BYTES", 1000)
    base = replace(BASE, drop=(DropRule("too_long", "minute", Condition.ABOVE, 500),))
    with pytest.raises(DataError, match="needs a column 'minute'. Did you mean 'minutes'?"):
        merged(source, base=base, temporary=str(tmp_path / "tmp"))


@given(
    st.lists(
        st.tuples(
            st.sampled_from([0.0, -0.0, float("nan"), 1.5, None]),
            st.sampled_from([1, -1, 0, None]),
            st.sampled_from(["a", "b", "", None]),
            st.sampled_from([True, False, None]),
        ),
        min_size=1,
    )
)
@settings(deadline=None)
def test_equal_rows_meet_in_the_same_part(rows):
    columns = [pa.array(column) for column in zip(*rows, strict=True)]
    columns[0] = columns[0].cast(pa.float64())
    table = pa.table(columns, names=["a", "b", "c", "d"])
    hashes = row_hashes(table.columns)
    for later in np.flatnonzero(duplicated(table)):
        [single] = [table.slice(later, 1)]
        assert row_hashes(single.columns)[0] == hashes[later]
        assert hashes[later] in hashes[:later]
