"""Random and mutated files: what comes of them is examples or a named error, and nothing else."""

from __future__ import annotations

import gzip
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from penstock.data import records
from penstock.data.coding import examples
from penstock_support import PROGRAMS

SCHEMA = (Path(__file__).parents[2] / "schemas" / "penguins.pbtxt").read_bytes()

# More by hand: PENSTOCK_RANDOM_FILES=20000 pytest tests/bad_input/test_random_bytes.py
FEW = settings(
    max_examples=int(os.environ.get("PENSTOCK_RANDOM_FILES", "60")),
    deadline=None,  # the server has a limit of its own
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture(scope="module")
def ask():
    """Ask the server what becomes of a file."""
    command = [sys.executable, "-W", "ignore", str(PROGRAMS / "ingestion_server.py")]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as server:

        def call(kind: str, name: str, content: bytes) -> tuple[str, Any]:
            pickle.dump((kind, name, content), server.stdin)
            server.stdin.flush()
            return pickle.load(server.stdout)

        yield call
        server.stdin.close()


def check(answer: tuple[str, Any], name: str) -> None:
    outcome, detail = answer
    assert outcome in ("rows", "named"), detail
    if outcome == "named":
        assert name in detail
        assert "\n" not in detail
        assert "Traceback" not in detail


def mutations(seeds: list[bytes]) -> st.SearchStrategy[bytes]:
    """Return files that are changed, cut, or doubled in a few places."""
    place = st.integers(0, 1 << 16)
    change = st.tuples(place, st.sampled_from(["set", "flip", "cut", "delete", "insert", "copy"]))
    changes = st.lists(st.tuples(change, place, st.binary(min_size=1, max_size=8)), max_size=4)
    return st.builds(mutated, st.sampled_from(seeds), changes)


def mutated(seed: bytes, changes: list[Any]) -> bytes:
    data = bytearray(seed)
    for (place, kind), other, new in changes:
        at = place % (len(data) + 1)
        if kind == "set":
            data[at : at + len(new)] = new
        elif kind == "flip" and at < len(data):
            data[at] ^= 1 << (other % 8)
        elif kind == "cut":
            del data[at:]
        elif kind == "delete":
            del data[at : at + other % 32]
        elif kind == "insert":
            data[at:at] = new
        elif kind == "copy":
            source = other % (len(data) + 1)
            data[at : at + 16] = data[source : source + 16]
    return bytes(data)


CSV_SEEDS = [
    b'a,b,c\n1,2.5,x\n2,,y\n3,4,"q,\nz"\n',
    b"\xef\xbb\xbfa,b\r\n1,2\r\n",
    b"a,b\n" + b"".join(b"%d,%d.5\n" % (row, row) for row in range(120)),
    '"ä","ö"\n"é, ü","2 ""x"""\n'.encode(),
    b"x,y\n9223372036854775807,1e308\n9223372036854775808,inf\n1_0,0x10\nnan,-0\n",
]
CSV_TEXT = st.text(st.sampled_from('ab01,,,\n\n\r"\t .-exn_\0\ufeffä'), max_size=80).map(str.encode)


@FEW
@given(mutations(CSV_SEEDS) | CSV_TEXT | CSV_TEXT.map(lambda text: b"a,b\n" + text) | st.binary())
@example(b"a,b\r\r1,\xff\r")
@example(b'"q,\nz"\n\x80')
@example(b"a\n" + b"9" * 400 + b"\n")
def test_any_csv_file_gives_examples_or_a_named_error(ask, content):
    check(ask("csv", "data.csv", content), "data.csv")


@FEW
@given(mutations([gzip.compress(seed, mtime=0) for seed in CSV_SEEDS]))
def test_any_compressed_csv_file_gives_examples_or_a_named_error(ask, content):
    check(ask("csv", "data.csv.gz", content), "data.csv.gz")


def record_seeds() -> list[bytes]:
    columns = [pa.array([1, 2, None] * 3), pa.array([1.5, None, 2.5] * 3, pa.float32())]
    columns += [pa.array([b"a", b"bc", None] * 3), pa.array([[1, 2], [], None] * 3)]
    serialized = examples.encode(pa.RecordBatch.from_arrays(columns, ["i", "f", "s", "l"]))
    return [records.frame_records(serialized), records.frame_records(serialized[:1])]


@FEW
@given(
    mutations(record_seeds())
    | mutations([gzip.compress(seed, mtime=0) for seed in record_seeds()])
    | mutations(record_seeds()).map(lambda data: gzip.compress(data, mtime=0))
    | st.lists(mutations(record_seeds()).map(lambda data: data[12:-4])).map(records.frame_records)
    | st.binary()
)
@example(b"\xff" * 40)
def test_any_tfrecord_file_gives_examples_or_a_named_error(ask, content):
    check(ask("records", "data", content), "data")


def parquet_seeds() -> list[bytes]:
    table = pa.table(
        {
            "i": pa.array([1, None, 3] * 5),
            "s": pa.array(["a", "bcd", None] * 5),
            "l": pa.array([["x", None], [], None] * 5),
            "d": pa.array([1, 20_000, None] * 5, pa.date32()),
            "k": pa.array(["u", "v", "u"] * 5).dictionary_encode(),
        }
    )
    seeds = []
    for columns in (["i", "s"], ["l"], ["d"], ["k"]):
        for compression in ("none", "zstd"):
            sink = pa.BufferOutputStream()
            pq.write_table(table.select(columns), sink, compression=compression)
            seeds.append(sink.getvalue().to_pybytes())
    return seeds


# Arrow crashes at some damaged files; the run that names them is in test_crashes.py.
ARROW_CRASHES = ("SIGSEGV", "SIGABRT")


@FEW
@given(st.sampled_from(["parquet", "parquet_as_is"]), mutations(parquet_seeds()) | st.binary())
def test_any_parquet_file_gives_examples_or_a_named_error(ask, kind, content):
    answer = ask(kind, "data.parquet", content)
    if answer[0] == "crash":
        assert answer[1] in ARROW_CRASHES
    else:
        check(answer, "data.parquet")


WORDS = [
    "feature",
    "{",
    "}",
    "name:",
    "'a'",
    "type:",
    "INT",
    "9",
    "-1",
    "\n",
    "#",
    "shape",
    "[",
    "<",
]
PBTXT = st.lists(st.sampled_from(WORDS) | st.text(max_size=3), max_size=30).map(" ".join)


@FEW
@given(mutations([SCHEMA[:400], SCHEMA]) | PBTXT.map(str.encode) | st.binary())
@example(b"feature { name: '\xc3' }")
@example(b"feature { name: '\\377' }")
@example(b"{" * 5000)
@example(b"feature { struct_domain { " * 5000)
def test_any_text_gives_a_schema_or_a_named_error(ask, content):
    check(ask("schema", "schema.pbtxt", content), "schema.pbtxt")


LEGAL = {
    "a byte order mark": (b"\xef\xbb\xbfa,b\n1,2\n", 1),
    "CRLF": (b"a,b\r\n1,2\r\n3,4\r\n", 2),
    "CR alone": (b"a,b\r1,2\r3,4\r", 2),
    "newlines in quotes": (b'a,b\n"1\n2\n3",x\n4,y\n', 2),
    "empty lines": (b"\n\na,b\n\n1,2\n\n\n3,4\n\n", 2),
    "no newline at the end": (b"a,b\n1,2", 1),
    "a header alone": (b"a,b\n", 0),
    "a header without a newline": (b"a,b", 0),
    "one column": (b"a\n1\n2\n3\n", 3),
    "5,000 columns": (
        ",".join(f"c{i}" for i in range(5000)).encode() + (b"\n" + b",".join([b"1"] * 5000)) * 2,
        2,
    ),
    "a column without values": (b"a,b\n1,\n2,\n", 2),
    "nothing but empty cells": (b"a,b\n,\n,\n", 2),
    "a field longer than a block": (b"a,b\n0,0\n" + b"x" * 100_000 + b",1\n2,3\n", 3),
    "a quoted field longer than a block": (b'a,b\n"' + b"x\n" * 50_000 + b'",1\n2,3\n', 2),
    "a field of 200 kB in the header": (b"x" * 200_000 + b",b\n1,2\n", 1),
}


@pytest.mark.parametrize("name", LEGAL)
def test_unusual_csv_is_read(ask, name):
    content, rows = LEGAL[name]
    assert ask("csv", "data.csv", content) == ("rows", rows)
