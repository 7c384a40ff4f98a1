"""Data and schemas that are not what they should be: one good run, then one with them all."""

from __future__ import annotations

import gzip
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from penstock import pipeline
from penstock.components import (
    CsvExampleGen,
    ImportExampleGen,
    ImportSchemaGen,
    ParquetExampleGen,
)
from penstock.data import records
from penstock.data.coding import examples
from penstock.data.csv import CsvOptions
from penstock.data.payload import PayloadFormat

ROWS = b"".join(b"%d,%d.5,text %d\n" % (row, row, row) for row in range(1, 300))
GOOD_CSV = b"id,fare,note\n" + ROWS
SCHEMA = "feature { name: 'id' type: INT }\n"


def good_parquet() -> bytes:
    sink = pa.BufferOutputStream()
    table = pa.table({"id": list(range(300)), "fare": [row / 2 for row in range(300)]})
    pq.write_table(table, sink, compression="none")
    return sink.getvalue().to_pybytes()


def good_records() -> bytes:
    batch = pa.RecordBatch.from_arrays([pa.array(range(300))], ["id"])
    return records.frame_records(examples.encode(batch))


def flipped(data: bytes, position: int) -> bytes:
    return data[:position] + bytes([data[position] ^ 0xFF]) + data[position + 1 :]


def other_parquet() -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"id": ["a"], "fare": [1.0]}), sink)
    return sink.getvalue().to_pybytes()


# By node: the kind of its component, its files, and what its error must say.
BAD: dict[str, tuple[str, dict[str, bytes] | None, list[str]]] = {
    "missing_folder": (
        "csv",
        None,
        ["the input folder does not exist", "missing_folder", "Did you mean", "missing_folders?"],
    ),
    "empty_folder": ("csv", {}, ["the input folder is empty", "Put the data files there."]),
    "ragged_row": (
        "csv",
        {"a.csv": GOOD_CSV, "b.csv": GOOD_CSV + b"301,2\n" + ROWS},
        ["expected 3 cells, as in the header, got 2: '301,2'", "b.csv:301)", "Quote cells"],
    ),
    "other_header": (
        "csv",
        {"a.csv": GOOD_CSV, "b.csv": GOOD_CSV.replace(b"fare", b"fee")},
        ["the same header", "without 'fare' and with 'fee', compared with", "a.csv", "b.csv:1)"],
    ),
    "not_utf8": (
        "csv",
        {"a.csv": GOOD_CSV + b'x,1,"two\nlines and ' + b'\xe9"\n'},
        ["text is not utf-8", "byte 0xe9", "a.csv:302, column note)", "CsvOptions.encoding"],
    ),
    "other_type": (
        "csv_fixed",
        {"a.csv": GOOD_CSV + b"\n300,n/a,\n" + ROWS},
        ["expected a number, got 'n/a'", "a.csv:302, column fare)", "list it in null_values"],
    ),
    "truncated_csv": (
        "csv",
        {"a.csv.gz": gzip.compress(GOOD_CSV)[:-20]},
        ["cannot read the CSV file", "ended before the end-of-stream marker", "a.csv.gz"],
    ),
    "empty_csv": ("csv", {"a.csv": b""}, ["the CSV file is empty", "a.csv", "name the columns"]),
    "named_twice": (
        "csv",
        {"a.csv": b"\na,b,a\n1,2,3\n"},
        ["the header names 'a' twice, as columns 1 and 3", "a.csv:2)"],
    ),
    "truncated_records": (
        "records",
        {"a": good_records()[:-7]},
        ["TFRecord file is truncated: record 299 starts at byte", "Write or copy the file again"],
    ),
    "corrupt_records": (
        "records",
        {"a": flipped(good_records(), 4000)},
        ["TFRecord file is corrupt: the checksum of the length of record 129, at byte 4000"],
    ),
    "truncated_gzip": (
        "records",
        {"a.gz": gzip.compress(good_records())[:-30]},
        ["gzip data are truncated after byte", "a.gz)"],
    ),
    "corrupt_gzip": (
        "records",
        {"a.gz": flipped(gzip.compress(good_records()), 60)},
        ["gzip data are corrupt after byte", "a.gz)", "Write or copy the file again"],
    ),
    "not_examples": (
        "records",
        {"a": records.frame_records([b"", b"no message at all"])},
        ["record 1: cannot be read as FORMAT_TF_EXAMPLE", "output_data_format says"],
    ),
    "truncated_parquet": (
        "parquet",
        {"a.parquet": good_parquet()[:-200]},
        ["cannot read the Parquet file", "magic bytes not found", "a.parquet)"],
    ),
    "corrupt_parquet": (
        "parquet",
        {"a.parquet": good_parquet()[:4] + b"\xff" * 60 + good_parquet()[64:]},
        ["cannot read the Parquet file", "a.parquet)", "Write or copy the file again"],
    ),
    "other_schema": (
        "parquet",
        {"a.parquet": good_parquet(), "b.parquet": other_parquet()},
        ["the column is string here and int64 in", "b.parquet, column id)"],
    ),
    "bad_schema": (
        "schema",
        {"schema.pbtxt": b"feature {\n  name: 'id'\n  tipe: INT\n}\n"},
        ["does not parse", 'no field named "tipe"', "schema.pbtxt:3, column 3)"],
    ),
    "no_schema": ("schema", {}, ["there is no such file", "no_schema/schema.pbtxt)"]),
}


def node(name: str, kind: str, folder: Path) -> Any:
    base = str(folder)
    fixed = CsvOptions(column_types={"fare": "float"})
    made = {
        "csv": lambda: CsvExampleGen(input_base=base),
        "csv_fixed": lambda: CsvExampleGen(input_base=base, csv=fixed),
        "records": lambda: ImportExampleGen(input_base=base),
        "parquet": lambda: ParquetExampleGen(input_base=base),
        "schema": lambda: ImportSchemaGen(schema_file=f"{base}/schema.pbtxt"),
    }[kind]()
    return made.with_id(name)


def reading(kinds: dict[str, str], data: Path) -> Any:
    @pipeline
    def reading():
        return [node(name, kind, data / name) for name, kind in kinds.items()]

    return reading


def put(folder: Path, files: dict[str, bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)


@pytest.fixture(scope="module")
def good_run(project):
    """Nodes that will be given bad data next, and one that reads what nobody expects."""
    kinds = {"ragged_row": "csv", "corrupt_parquet": "parquet", "bad_schema": "schema"}
    kinds |= {"corrupt_gzip": "records", "turns_to_text": "csv"}
    data = project.folder / "data"
    put(data / "ragged_row", {"a.csv": GOOD_CSV})
    put(data / "corrupt_parquet", {"a.parquet": good_parquet()})
    put(data / "bad_schema", {"schema.pbtxt": SCHEMA.encode()})
    put(data / "corrupt_gzip", {"a.gz": gzip.compress(good_records())})
    put(data / "turns_to_text", {"a.csv": GOOD_CSV + b'300,"2,5",\n' + ROWS})
    result = project.run(reading(kinds, data))
    assert result.succeeded, [n.error for n in result.nodes.values()]
    return result


@pytest.fixture(scope="module")
def bad_run(project, good_run, make_bad_run):
    data = project.folder / "data"
    (data / "missing_folders").mkdir()
    for name, (_, files, _) in BAD.items():
        if files is not None:
            put(data / name, files)
    return make_bad_run(reading({name: kind for name, (kind, _, _) in BAD.items()}, data))


@pytest.mark.parametrize("name", BAD)
def test_bad_data_are_named_with_their_place_and_what_to_do(bad_run, name):
    for part in BAD[name][2]:
        assert part in bad_run.error(name)


@pytest.mark.parametrize("name", BAD)
def test_bad_data_give_one_paragraph_and_no_stack_of_ours(bad_run, name):
    assert "Traceback" not in bad_run.error(name)
    assert "Traceback" not in bad_run.log(name)
    assert "\n" not in bad_run.error(name)


def test_bad_data_leave_all_that_was_published_as_it_was(bad_run):
    bad_run.check_that_nothing_else_happened()
    assert set(bad_run.project.executions()["ragged_row"]) == {"COMPLETE", "FAILED"}


def test_what_was_published_before_bad_data_can_be_read(bad_run, good_run):
    artifact = good_run.output("ragged_row", "examples")
    rows = 0
    for split in ("train", "eval"):
        files = records.record_files(os.path.join(artifact.uri, f"Split-{split}"))
        rows += sum(batch.num_rows for batch in records.read_record_batches(files))
    assert rows == 299


def test_a_column_that_turns_to_text_is_told_in_the_log_with_its_line(good_run):
    log = Path(good_run.nodes["turns_to_text"].log_path).read_text()
    assert "column 'fare' begins with numbers and is text because of '2,5'" in log
    assert "a.csv:301)" in log
    assert "CsvOptions.null_values" in log


def test_a_header_alone_gives_examples_without_rows_in_either_format(tmp_path, project):
    put(tmp_path / "data", {"a.csv": b"a,b\n"})

    @pipeline
    def empty():
        base = str(tmp_path / "data")
        return [
            CsvExampleGen(input_base=base, output_data_format=form).with_id(form.name)
            for form in (PayloadFormat.FORMAT_TF_EXAMPLE, PayloadFormat.FORMAT_PARQUET)
        ]

    result = project.run(empty)
    assert result.succeeded
    for form in result.nodes:
        uri = result.output(form, "examples").uri
        files = [
            f for split in ("train", "eval") for f in records.record_files(f"{uri}/Split-{split}")
        ]
        assert [b.num_rows for b in records.read_record_batches(files)] == []


def test_the_log_names_a_parquet_file_before_arrow_reads_it(bad_run):
    assert "Reading the schema of " in bad_run.log("corrupt_parquet")
    assert "corrupt_parquet/a.parquet" in bad_run.log("corrupt_parquet")
