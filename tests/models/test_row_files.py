"""Cells of text become values of the types that a model takes."""

from __future__ import annotations

import pyarrow as pa
import pytest

from penstock.errors import RowError
from penstock.models.row_files import kind_of_content, kind_of_file, typed_cells
from penstock.models.signature import Column

pytestmark = pytest.mark.core


def typed(cells: list[str | None], *column: object) -> pa.Array:
    return typed_cells(pa.array(cells, pa.string()), Column("x", *column))


@pytest.mark.parametrize(
    ("cells", "column", "values"),
    [
        (["1", None, "-2"], ("int64",), [1, None, -2]),
        (["1", "2.5", "nan"], ("float32",), [1.0, 2.5, None]),
        (["1e3", None], ("float64",), [1000.0, None]),
        (["true", "False", "0", "1", None], ("bool",), [True, False, False, True, None]),
        (["01", None], ("string",), ["01", None]),
        (["ä"], ("binary",), ["ä".encode()]),
        (["[1, 2]", None, "[]"], ("int64", (None,)), [[1, 2], None, []]),
        (['["a"]', "[]"], ("string", (None,)), [["a"], []]),
        (["a", None], ("string", (None,)), ["a", None]),
        ([], ("int64",), []),
    ],
)
def test_cells_are_read_by_the_type_of_their_column(cells, column, values):
    read = typed(cells, *column).to_pylist()
    assert [None if v != v else v for v in read] == values  # as NaN


@pytest.mark.parametrize(
    ("cells", "column", "row", "message"),
    [
        (["1", "x"], ("int64",), 1, "expected a number, got 'x'"),
        (["1", "0x10"], ("float32",), 1, "expected a number, got '0x10'"),
        (["yes"], ("bool",), 0, "expected true or false, got 'yes'"),
        (["[1]", "[1"], ("int64", (None,)), 1, "expected a list, as [1, 2], got '[1'"),
        (["[1]", "[true, {}]"], ("int64", (None,)), 1, "expected a list of int64"),
        (["[1, 2]", "[1]"], ("float32", (2,)), 1, "expected a list of float32"),
        (["1" * 100 + "x"], ("int64",), 0, "..."),
    ],
)
def test_the_first_cell_that_is_none_is_told(cells, column, row, message):
    with pytest.raises(RowError) as caught:
        typed(cells, *column)
    assert caught.value.row == row
    assert message in caught.value.reason


def test_files_are_told_by_their_names():
    names = {"a.csv": "csv", "a.TSV": "csv", "a.csv.gz": "csv", "a.ndjson": "jsonl", "a": None}
    assert {name: kind_of_file(name) for name in names} == names


@pytest.mark.parametrize(
    ("content", "kind"), [(b"PAR1", "parquet"), (b"\xef\xbb\xbf \n{}", "jsonl"), (b"a,b", "csv")]
)
def test_files_are_told_by_their_content(tmp_path, content, kind):
    (tmp_path / "file").write_bytes(content)
    assert kind_of_content(str(tmp_path / "file")) == kind


def test_an_error_of_a_row_is_placed_in_its_file():
    error = RowError("expected a number", row=2, column="age")
    assert str(error.within("rows.parquet", 10)) == (
        "row 12: expected a number (rows.parquet, column age)."
    )
    assert str(error.within("rows.csv", 10, 14)) == "expected a number (rows.csv:14, column age)."
