import gzip
import zipfile

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from penstock.data import csv
from penstock.data.csv import ColumnType, CsvOptions
from penstock.errors import DataError, ParameterError

pytestmark = pytest.mark.core


@pytest.fixture
def read(tmp_path):
    """Write texts or bytes as CSV files and read them as one table."""

    def read_files(*contents, options=CsvOptions()):
        paths = []
        for index, content in enumerate(contents):
            path = tmp_path / f"{index}.csv"
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
            paths.append(str(path))
        batches = list(csv.read_csv(paths, options))
        schema = csv.infer_columns(paths, options).schema
        return pa.Table.from_batches(batches, schema)

    return read_files


def types(table):
    return {field.name: str(field.type) for field in table.schema}


def test_columns_are_integers_numbers_text_or_nothing(read):
    table = read("i,f,s,n\n1,1,1,\n-2,2.5,x,\n,,,\n")
    assert types(table) == {"i": "int64", "f": "float", "s": "large_binary", "n": "null"}
    assert table.to_pydict() == {
        "i": [1, -2, None],
        "f": [1.0, 2.5, None],
        "s": [b"1", b"x", None],
        "n": [None, None, None],
    }


def test_types_are_inferred_over_all_files_and_blocks(read):
    rows = "".join(f"{index}\n" for index in range(5000))
    options = CsvOptions(block_size=1000)
    assert types(read(f"x\n{rows}", "x\n0.5\n", options=options)) == {"x": "float"}
    assert types(read(f"x\n{rows}word\n", options=options)) == {"x": "large_binary"}


CELLS = st.one_of(
    st.integers(-(1 << 70), 1 << 70).map(str),
    st.floats().map(str),
    st.sampled_from(
        ["1", "", " 1", "1 ", "+1", "1_000", "0x10", "1e3", ".5", "1.", "nan", "inf", "-Infinity"]
    ),
    st.sampled_from(["9223372036854775807", "9223372036854775808", "-9223372036854775808"]),
    st.sampled_from(["1e400", "1d5", "0x1p3", "x", "true", "\u0661", "1,5", "NaN", "- 1", "00012"]),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(CELLS, min_size=1, max_size=6))
@example(["9223372036854775808", "0.5"])
@example(["0.5", "9223372036854775808"])
@example(["1", "0x10"])
def test_types_are_those_that_tfx_infers_cell_by_cell(cells):
    expected = max(csv.cell_type(cell) for cell in cells)
    whole = pa.array([cell or None for cell in cells], pa.string())
    assert csv.widened(ColumnType.EMPTY, whole) == expected
    kind = ColumnType.EMPTY
    for cell in cells:
        kind = csv.widened(kind, pa.array([cell or None], pa.string()))
    assert kind == expected


def test_odd_numbers_are_read_as_python_reads_them(read):
    table = read("i,f\n 1,+1.5\n1_000, 2e1 \n+3,nan\n")
    assert table["i"].to_pylist() == [1, 1000, 3]
    np.testing.assert_array_equal(table["f"].to_pylist(), [1.5, 20.0, np.nan])


def test_multi_line_cells_and_doubled_quotes_are_read(read):
    table = read('a,b\n"one\ntwo","say ""hi"""\n1,2\n', options=CsvOptions(block_size=64))
    assert table.to_pydict() == {"a": [b"one\ntwo", b"1"], "b": [b'say "hi"', b"2"]}


def test_blank_lines_and_byte_order_marks_are_skipped(read):
    assert read("\ufeffa,b\n\n1,2\n\n").to_pydict() == {"a": [1], "b": [2]}


def test_options_say_how_the_file_is_written(read):
    options = CsvOptions(
        delimiter=";",
        quote_char="'",
        null_values=("NA",),
        column_types={"b": "bytes", "c": "float"},
        encoding="latin-1",
    )
    table = read("a;b;c\n'x;é';7;1\nNA;8;NA\n".encode("latin-1"), options=options)
    assert types(table) == {"a": "large_binary", "b": "large_binary", "c": "float"}
    assert table.to_pydict() == {
        "a": ["x;é".encode(), None],
        "b": [b"7", b"8"],
        "c": [1.0, None],
    }


def test_gzip_files_are_read(tmp_path):
    path = tmp_path / "data.csv.gz"
    path.write_bytes(gzip.compress(b"a\n1\n"))
    (batch,) = csv.read_csv([str(path)])
    assert batch.to_pydict() == {"a": [1]}


def test_every_file_of_a_zip_archive_is_read(tmp_path):
    path = tmp_path / "data.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.csv", "x\n1\n")
        archive.writestr("__MACOSX/a.csv", "rubbish")
        archive.writestr("more/b.csv", "x\n2.5\n")
    batches = list(csv.read_csv([str(path)]))
    assert [batch.to_pydict() for batch in batches] == [{"x": [1.0]}, {"x": [2.5]}]


def test_batches_are_bounded_by_the_block_size(read):
    rows = "".join(f"{index}\n" for index in range(10_000))
    table = read(f"x\n{rows}", options=CsvOptions(block_size=4096))
    assert max(len(chunk) for chunk in table["x"].chunks) < 4096
    assert table["x"].to_pylist() == list(range(10_000))


def test_a_file_with_a_header_alone_has_no_rows(read):
    assert read("a,b\n").num_rows == 0


def test_an_empty_file_is_refused(read):
    with pytest.raises(DataError, match=r"the CSV file is empty \(.*0\.csv\)"):
        read("")


def test_headers_must_match(read):
    with pytest.raises(DataError, match=r"without 'b' and with 'c', compared with .*1\.csv:1\)"):
        read("a,b\n1,2\n", "a,c\n1,2\n")
    with pytest.raises(DataError, match="the same columns in another order"):
        read("a,b\n1,2\n", "b,a\n1,2\n")


def test_a_header_names_every_column_once(read):
    with pytest.raises(DataError, match="the header names 'a' twice"):
        read("a,a\n1,2\n")
    with pytest.raises(DataError, match=r"column without a name .*column 2"):
        read("a,\n1,2\n")


@pytest.mark.parametrize("row", ["3", "3,4,5"])
def test_a_ragged_row_is_reported_with_its_line(read, row):
    cells = row.count(",") + 1
    with pytest.raises(DataError, match=rf"expected 2 cells, as in the header, got {cells}.*:5\)"):
        read(f'a,b\n"1\n1",2\n\n{row}\n5,6\n')


def test_text_in_another_encoding_is_reported_with_line_and_column(read):
    with pytest.raises(DataError, match=r"text is not utf-8.*:3, column b\).*CsvOptions.encoding"):
        read(b"a,b,c\n1,2,3\n4,\xff5,6\n")


def test_a_header_in_another_encoding_is_reported(read):
    with pytest.raises(DataError, match=r"text is not utf-8.*:1\)"):
        read(b"a,\xff,c\n1,2,3\n")


def test_a_cell_that_does_not_fit_its_fixed_type_is_reported(read):
    with pytest.raises(DataError, match=r"expected an integer of 64 bits, got 'x' .*:4, column a"):
        read("a\n1\n\nx\n", options=CsvOptions(column_types={"a": "int"}))


def test_unknown_columns_and_types_are_refused(read):
    with pytest.raises(ParameterError, match=r"no column 'fair'\. Did you mean 'fare'\?"):
        read("fare\n1\n", options=CsvOptions(column_types={"fair": "int"}))
    with pytest.raises(ParameterError, match=r"cannot be 'integer'\. Did you mean 'int'"):
        CsvOptions(column_types={"a": "integer"})


def test_a_delimiter_is_one_character():
    with pytest.raises(ParameterError, match="single characters, got '::'"):
        CsvOptions(delimiter="::")


def test_broken_archives_are_reported(tmp_path):
    for name in ("a.zip", "a.csv.gz"):
        (tmp_path / name).write_bytes(b"rubbish that is no archive")
        with pytest.raises(DataError, match="cannot read the"):
            list(csv.read_csv([str(tmp_path / name)]))


def test_a_header_of_more_columns_than_expected_is_refused(read):
    header = ",".join(f"c{number}" for number in range(5))
    with pytest.raises(DataError) as told:
        read(f"{header}\n1,2,3,4,5\n", options=CsvOptions(max_columns=4))
    assert "the header has 5 columns; up to 4 are expected" in str(told.value)
    assert "Is the delimiter right? If so, set CsvOptions.max_columns" in str(told.value)


def test_a_header_without_an_end_is_refused_before_it_is_read(read):
    with pytest.raises(DataError, match="it has a line of more than 16,777,216 characters"):
        read("," * (1 << 25))
