"""Rows of data that are chosen once, by their places alone."""

from __future__ import annotations

import gzip
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.data.csv import read_csv
from penstock.data.csv_options import CsvOptions
from penstock.data.records import read_serialized, write_serialized
from penstock.data.spans import RangeConfig, RollingRange
from penstock.data.splits import InputConfig, InputSplit
from penstock.errors import DataError
from penstock.operations.delivery.sampling import Source, source_of, take_sample

pytestmark = pytest.mark.core


def source(folder: Path, form: str, pattern: str = "*", **fields) -> Source:
    config = InputConfig((InputSplit("single_split", pattern),))
    values = {"range_config": None, "csv": CsvOptions(), **fields}
    return Source(str(folder), "data", form, config, **values)


@pytest.fixture
def data(tmp_path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


def ages(path: Path) -> list[int]:
    return [age for batch in read_csv([str(path)]) for age in batch.column("Age").to_pylist()]


def write_ages(path: Path, count: int, name: str = "x") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("Age,Name\n" + "".join(f"{n},{name}\n" for n in range(count)))


def test_a_sample_of_csv_has_the_header_and_rows_in_their_order(data, tmp_path):
    write_ages(data / "a.csv", 100)
    sample = take_sample(source(data, "csv"), tmp_path / "sample", 10)
    chosen = ages(Path(sample.folder, "a.csv"))
    assert len(chosen) == sample.rows == 10
    assert chosen == sorted(chosen)
    assert not sample.is_everything


def test_the_same_rows_are_chosen_again(data, tmp_path):
    write_ages(data / "a.csv", 100)
    one, other = (take_sample(source(data, "csv"), tmp_path / name, 10) for name in "ab")
    assert ages(Path(one.folder, "a.csv")) == ages(Path(other.folder, "a.csv"))


def test_a_sample_of_few_rows_is_all_of_them(data, tmp_path):
    write_ages(data / "a.csv", 7)
    sample = take_sample(source(data, "csv"), tmp_path / "sample", 10)
    assert (sample.rows, sample.is_everything) == (7, True)


def test_a_cell_over_several_lines_stays_whole(data, tmp_path):
    rows = "".join(f'{n},"line one\nline ""two"" of {n}"\n' for n in range(50))
    (data / "a.csv").write_text(f"Age,Name\n{rows}")
    sample = take_sample(source(data, "csv"), tmp_path / "sample", 5)
    [batch] = read_csv([str(Path(sample.folder, "a.csv"))])
    for age, name in zip(*(batch.column(n).to_pylist() for n in ("Age", "Name")), strict=True):
        text = name.decode() if isinstance(name, bytes) else name
        assert text == f'line one\nline "two" of {age}'


def test_a_last_row_without_an_end_of_line_stays_a_row(data, tmp_path):
    (data / "a.csv").write_text("Age,Name\n1,a\n2,b")
    sample = take_sample(source(data, "csv"), tmp_path / "sample", 5)
    assert ages(Path(sample.folder, "a.csv")) == [1, 2]


def test_compressed_csv_stays_compressed(data, tmp_path):
    text = b"Age,Name\n" + b"".join(b"%d,x\n" % n for n in range(30))
    (data / "a.csv.gz").write_bytes(gzip.compress(text))
    with zipfile.ZipFile(data / "b.zip", "w") as archive:
        archive.writestr("inside.csv", text)
    sample = take_sample(source(data, "csv"), tmp_path / "sample", 10)
    for name in ("a.csv.gz", "b.zip"):
        assert len(ages(Path(sample.folder, name))) == 5


def test_another_encoding_is_kept(data, tmp_path):
    text = "Age;Name\n" + "".join(f"{n};ä\n" for n in range(20))
    (data / "a.csv").write_bytes(text.encode("utf-16"))
    options = CsvOptions(delimiter=";", encoding="utf-16")
    sample = take_sample(source(data, "csv", csv=options), tmp_path / "sample", 5)
    batches = list(read_csv([str(Path(sample.folder, "a.csv"))], options))
    assert sum(batch.num_rows for batch in batches) == 5


def test_parquet_keeps_its_schema(data, tmp_path):
    table = pa.table({"a": pa.array(range(100), pa.int16()), "b": [["x"]] * 100})
    pq.write_table(table, data / "a.parquet", row_group_size=30)
    sample = take_sample(source(data, "parquet"), tmp_path / "sample", 10)
    read = pq.read_table(Path(sample.folder, "a.parquet"))
    assert (read.num_rows, read.schema.types) == (10, table.schema.types)


def test_records_stay_as_they_are(data, tmp_path):
    records = [b"record %d" % n for n in range(50)]
    [path] = write_serialized(str(data), "data_tfrecord", records)
    sample = take_sample(source(data, "records"), tmp_path / "sample", 8)
    chosen = list(read_serialized(str(Path(sample.folder, Path(path).name))))
    assert len(chosen) == 8
    assert set(chosen) <= set(records)


def test_spans_mean_in_the_sample_what_they_mean_in_the_data(data, tmp_path):
    for span in (1, 2, 3):
        write_ages(data / f"span-{span}" / "a.csv", 20)
    rolling = RangeConfig(rolling_range=RollingRange(num_spans=2))
    wanted = source(data, "csv", "span-{SPAN}/*", range_config=rolling)
    sample = take_sample(wanted, tmp_path / "sample", 10)
    names = sorted(path.name for path in Path(sample.folder).iterdir())
    assert names == ["span-2", "span-3"]


def test_a_sample_is_kept_until_something_else_is_wanted(data, tmp_path):
    write_ages(data / "a.csv", 100)
    folder = tmp_path / "sample"
    assert not take_sample(source(data, "csv"), folder, 10).is_kept
    assert take_sample(source(data, "csv"), folder, 10).is_kept
    assert not take_sample(source(data, "csv"), folder, 11).is_kept
    assert not take_sample(source(data, "csv"), folder, 11, anew=True).is_kept


def test_a_sample_that_was_cut_short_is_taken_again(data, tmp_path):
    write_ages(data / "a.csv", 100)
    folder = tmp_path / "sample"
    take_sample(source(data, "csv"), folder, 10)
    (folder / "sample.json").write_text("{")
    assert not take_sample(source(data, "csv"), folder, 10).is_kept


def test_data_without_rows_are_told(data, tmp_path):
    (data / "a.csv").write_text("Age,Name\n")
    with pytest.raises(DataError, match="expected rows to take a sample of, found none"):
        take_sample(source(data, "csv"), tmp_path / "sample", 10)


@given(count=st.integers(1, 300), wanted=st.integers(1, 300))
def test_as_many_rows_as_wanted_are_chosen_each_once(tmp_path_factory, count, wanted):
    folder = tmp_path_factory.mktemp("data")
    write_ages(folder / "a.csv", count)
    sample = take_sample(source(folder, "csv"), folder.with_name(f"{folder.name}-s"), wanted)
    chosen = ages(Path(sample.folder, "a.csv"))
    assert len(set(chosen)) == len(chosen) == min(count, wanted)
    assert sample.is_everything == (wanted >= count)


def test_what_an_example_gen_reads_is_taken_from_its_parameters():
    read = source_of(
        "penstock.components.csv_example_gen.component.CsvExampleGen",
        {
            "input_base": "data",
            "input_config": '{"splits": [{"name": "train", "pattern": "train/*"}]}',
            "csv": '{"delimiter": ";", "column_types": {"a": "int"}}',
        },
        "data",
    )
    assert read.input_config.splits[0].pattern == "train/*"
    assert (read.csv.delimiter, read.csv.column_types) == (";", {"a": "int"})


def test_other_nodes_read_nothing_that_a_sample_could_be_taken_of():
    assert source_of("penstock.components.pusher.component.Pusher", {"input_base": "a"}, "") is None


@pytest.mark.needs("fastavro")
def test_avro_keeps_its_schema_and_codec(data, tmp_path):
    import fastavro

    schema = {"type": "record", "name": "row", "fields": [{"name": "n", "type": "long"}]}
    with (data / "rows.avro").open("wb") as file:
        fastavro.writer(file, schema, [{"n": n} for n in range(100)], codec="deflate")
    sample = take_sample(source(data, "avro"), tmp_path / "sample", 10)
    with Path(sample.folder, "rows.avro").open("rb") as file:
        rows = fastavro.reader(file)
        assert (len(list(rows)), rows.codec) == (10, "deflate")
