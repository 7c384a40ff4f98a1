"""Avro files are read as columns, whole or in parts, and what cannot be read is named."""

from __future__ import annotations

import datetime
import io
import uuid
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.data.file_columns import common_types
from penstock.errors import DataError

fastavro = pytest.importorskip("fastavro", reason="Avro is an extra")
avro = pytest.importorskip("penstock.data.avro", reason="Avro is an extra")


def written(path: Path, fields: dict[str, Any], rows: list[dict[str, Any]], **options: Any) -> str:
    schema = {
        "type": "record",
        "name": "row",
        "fields": [{"name": name, "type": kind} for name, kind in fields.items()],
    }
    with path.open("wb") as file:
        fastavro.writer(file, schema, rows, **options)
    return str(path)


def read(path: str, columns: list[str] | None = None) -> list[dict[str, Any]]:
    types = common_types([[path]], avro.schema_of, columns, form="Avro")
    parts = avro.parts_of(path)
    return [row for part in parts for b in avro.read_part(part, types) for row in b.to_pylist()]


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("boolean", True),
        ("int", -3),
        ("long", 2**60),
        ("double", 0.1),
        ("bytes", b"\xff\x00"),
        ("string", "Zürich"),
        (["null", "string"], None),
        (["int", "double"], 0.5),
        ({"type": "enum", "name": "color", "symbols": ["red", "blue"]}, "blue"),
        ({"type": "fixed", "name": "four", "size": 4}, b"abcd"),
        ({"type": "array", "items": "long"}, [1, 2]),
        ({"type": "int", "logicalType": "date"}, datetime.date(2026, 5, 4)),
        (
            {"type": "long", "logicalType": "timestamp-micros"},
            datetime.datetime(2026, 5, 4, 1, 2, 3, 4, tzinfo=datetime.UTC),
        ),
        (
            {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2},
            Decimal("12.34"),
        ),
    ],
)
def test_a_value_is_read_as_it_was_written(tmp_path, kind, value):
    assert read(written(tmp_path / "a.avro", {"x": kind}, [{"x": value}])) == [{"x": value}]


def test_a_uuid_is_its_text(tmp_path):
    own = uuid.UUID(int=5)
    kind = {"type": "string", "logicalType": "uuid"}
    assert read(written(tmp_path / "a.avro", {"x": kind}, [{"x": own}])) == [{"x": str(own)}]


@settings(deadline=None, max_examples=25)
@given(
    rows=st.lists(st.tuples(st.none() | st.integers(-(2**63), 2**63 - 1), st.text()), max_size=60),
    block=st.integers(1, 500),
    part=st.integers(1, 2000),
    codec=st.sampled_from(["null", "deflate"]),
)
def test_a_file_in_parts_has_the_rows_of_the_whole(tmp_path_factory, rows, block, part, codec):
    path = tmp_path_factory.mktemp("parts") / "a.avro"
    given_rows = [{"n": number, "t": text} for number, text in rows]
    fields = {"n": ["null", "long"], "t": "string"}
    written(path, fields, given_rows, sync_interval=block, codec=codec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(avro, "_PART_BYTES", part)
        assert read(str(path)) == given_rows


@pytest.mark.parametrize(
    "kind",
    [
        {"type": "map", "values": "int"},
        {"type": "record", "name": "inner", "fields": [{"name": "y", "type": "int"}]},
        ["int", "string"],
    ],
    ids=["map", "record", "union"],
)
def test_what_has_no_place_in_an_example_is_refused_by_name_unless_it_is_left_out(tmp_path, kind):
    value = {"map": {"a": 1}, "record": {"y": 1}}.get(kind["type"]) if "type" in kind else 1
    path = written(tmp_path / "a.avro", {"x": kind, "n": "int"}, [{"x": value, "n": 1}])
    with pytest.raises(DataError) as raised:
        read(path)
    assert (raised.value.column, raised.value.path) == ("x", path)
    assert read(path, ["n"]) == [{"n": 1}]


def test_a_file_of_values_that_are_no_records_is_refused(tmp_path):
    path = tmp_path / "a.avro"
    with path.open("wb") as file:
        fastavro.writer(file, "int", [1, 2])
    with pytest.raises(DataError, match="the rows of the Avro file are no records"):
        avro.schema_of(str(path))


@pytest.mark.parametrize("cut", [0, 3, 50, -1, -20])
def test_a_file_that_is_cut_off_is_an_error_with_its_name(tmp_path, cut):
    path = tmp_path / "a.avro"
    written(path, {"x": "string"}, [{"x": "some text"}] * 100)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(DataError, match="cannot read the Avro file: .*a.avro"):
        read(str(path))


@settings(deadline=None, max_examples=60)
@given(place=st.integers(0, 2**20), byte=st.integers(0, 255))
def test_a_damaged_file_gives_rows_or_a_data_error(tmp_path_factory, place, byte):
    stream = io.BytesIO()
    schema = {"type": "record", "name": "r", "fields": [{"name": "x", "type": ["null", "long"]}]}
    fastavro.writer(stream, schema, [{"x": n} for n in range(50)], sync_interval=100)
    content = bytearray(stream.getvalue())
    content[place % len(content)] = byte
    path = tmp_path_factory.mktemp("damaged") / "a.avro"
    path.write_bytes(content)
    rows: list[dict[str, Any]] = []
    with suppress(DataError):
        rows = read(str(path))
    assert len(rows) <= 50


def test_a_column_of_two_files_has_one_type(tmp_path):
    paths = [
        written(tmp_path / "a.avro", {"x": "int"}, [{"x": 1}]),
        written(tmp_path / "b.avro", {"x": ["null", "double"]}, [{"x": None}]),
    ]
    types = common_types([paths], avro.schema_of, form="Avro")
    assert types == {"x": pa.large_list(pa.float32())}
