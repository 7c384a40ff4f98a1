"""A prediction log becomes examples: what callers got, each row once, of any versions."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from penstock import NodeContext, pipeline
from penstock.artifacts import Examples
from penstock.components import ServingLogGen
from penstock.components.serving_log_gen.component import resolve
from penstock.data import records, splits
from penstock.data.payload import PayloadFormat
from penstock.data.spans import RangeConfig, RollingRange, StaticRange
from penstock.data.splits import OutputConfig, SplitBuckets, SplitConfig
from penstock.errors import DataError, ParameterError

pytestmark = pytest.mark.core

HOUR = 1_800_000_000


def log_rows(**columns: Any) -> pa.Table:
    """Rows as a server logs them, one a request; columns may be given for each row, or for all."""
    rows = len(next(value for value in columns.values() if isinstance(value, list)))
    own = {
        "log/request_id": [f"r{row}" for row in range(rows)],
        "log/row": 0,
        "log/time": HOUR,
        "log/version": 1,
        "log/role": "production",
        "log/seconds": 0.5,
        "log/class": "stays",
        "log/score": 0.25,
    }
    own.update(columns)
    filled = {name: v if isinstance(v, list) else [v] * rows for name, v in own.items()}
    times = [datetime.fromtimestamp(seconds, UTC) for seconds in filled["log/time"]]
    filled["log/time"] = pa.array(times, pa.timestamp("us", tz="UTC"))
    return pa.table(filled)


@pytest.fixture
def log(tmp_path):
    return tmp_path / "log" / "people"


def write(log, name: str, span: str = "day-5", **columns: Any) -> None:
    folder = log / span
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(log_rows(**columns), folder / f"part-{name}.parquet", row_group_size=3)


def run(log, **parameters: Any) -> Examples:
    examples = Examples()
    examples.uri = str(log.parent.parent / "examples")
    defaults = dict.fromkeys(("windows", "range_config", "roles", "versions", "output_config"))
    asked = {"input_base": str(log), "log_span": "day", **defaults, **parameters}
    resolved = resolve(asked)
    ServingLogGen.function(examples=examples, **asked, **resolved)
    return examples


def read(examples: Examples, split: str = "served") -> list[dict[str, Any]]:
    batches = records.read_record_batches(splits.split_files(examples, split))
    return [row for batch in batches for row in batch.to_pylist()]


def ages(examples: Examples) -> list[Any]:
    return sorted(row["age"][0] for row in read(examples))


@pytest.mark.parametrize("payload", ["FORMAT_TF_EXAMPLE", "FORMAT_PARQUET"])
def test_rows_become_examples_of_one_split(log, payload):
    write(log, "a", age=[1, 2, 3, 4, 5], income=[1.5, None, 3.5, 4.5, 5.5])
    examples = run(log, output_data_format=PayloadFormat[payload])
    assert splits.split_names(examples) == ["served"]
    assert examples.span == 5
    first = read(examples)[0]
    assert first["age"] == [1]
    assert first["income"] == [1.5]
    assert first["log/class"] == [b"stays"]
    assert first["log/score"] == [0.25]
    assert first["log/time"][0].startswith(b"2027-01-15")
    assert ages(examples) == [1, 2, 3, 4, 5]


def test_a_request_that_was_repeated_counts_as_it_was_answered_last(log):
    write(
        log,
        "a",
        age=[1, 2, 3, 4],
        **{"log/request_id": ["a", "b", "a", "a"], "log/row": [0, 0, 1, 0]},
    )
    later = {"log/time": HOUR + 5, "log/version": 2, "log/role": "canary"}
    write(log, "0", age=[10], **{"log/request_id": ["a"], **later})
    assert ages(run(log)) == [2, 3, 10]


def test_a_shadow_s_answers_are_nobody_s(log):
    roles = ["production", "canary", "shadow", "", "batch"]
    write(log, "a", age=[1, 2, 3, 4, 5], **{"log/role": roles})
    assert ages(run(log)) == [1, 2, 4, 5]
    assert ages(run(log, roles=["shadow", "canary"])) == [2, 3]


def test_a_shadow_s_copy_of_a_request_does_not_take_its_place(log):
    write(
        log,
        "a",
        age=[1, 1],
        **{
            "log/request_id": ["a", "a"],
            "log/role": ["production", "shadow"],
            "log/time": [HOUR, HOUR + 1],
        },
    )
    assert [row["log/role"] for row in read(run(log))] == [[b"production"]]


def test_versions_with_other_features_are_read_together(log, capfd):
    write(log, "a", age=[1, 2], code=[7, 8], **{"log/version": 1})
    others = {"log/version": 2, "log/request_id": ["other"]}
    write(log, "b", age=[2.5], code=["k"], new=[True], **others)
    rows = {row["age"][0]: row for row in read(run(log))}
    assert rows[1.0]["code"] == [b"7"]
    assert rows[1.0]["new"] is None
    assert rows[2.5]["code"] == [b"k"]
    assert rows[2.5]["new"] == [1]
    said = capfd.readouterr().out
    assert "Column 'code' is int64 and string: it is read as string." in said


def test_versions_can_be_chosen(log):
    write(log, "a", age=[1, 2], code=[7, 8], **{"log/version": 1})
    write(log, "b", age=[2.5], code=["k"], **{"log/version": 2})
    (row, *_) = read(run(log, versions=[1]))
    assert row["code"] == [7]


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({}, [7]),
        ({"windows": 2}, [6, 7]),
        ({"range_config": RangeConfig(static_range=StaticRange(5, 6))}, [5, 6]),
        ({"range_config": RangeConfig(rolling_range=RollingRange(6, 9))}, [6, 7]),
    ],
)
def test_spans_are_chosen_by_number_and_by_how_many(log, parameters, expected):
    for number in (5, 6, 7):
        ids = {"log/request_id": [f"of {number}"]}
        write(log, "a", f"hour-{number}", age=[number], **ids)
    assert ages(run(log, log_span="hour", **parameters)) == expected


def test_measures_beside_the_rows_are_not_read(log):
    write(log, "a", age=[1])
    folder = log / "measures" / "day-6"
    folder.mkdir(parents=True)
    pq.write_table(pa.table({"requests": [1]}), folder / "part-a.parquet")
    assert run(log).span == 5


def test_late_rows_make_another_fingerprint(log):
    write(log, "a", age=[1])
    before = run(log).get_string_custom_property("input_fingerprint")
    write(log, "b", age=[2], **{"log/request_id": ["late"]})
    examples = run(log)
    assert examples.get_string_custom_property("input_fingerprint") != before
    assert ages(examples) == [1, 2]


def test_rows_of_a_request_can_stay_in_one_split(log):
    ids = [f"r{row // 4}" for row in range(40)]
    write(log, "a", age=list(range(40)), **{"log/request_id": ids, "log/row": [0, 1, 2, 3] * 10})
    halves = (SplitBuckets("one", 1), SplitBuckets("other", 1))
    config = OutputConfig(SplitConfig(halves, "log/request_id"))
    examples = run(log, output_config=config)
    one, other = (
        {row["log/request_id"][0] for row in read(examples, name)} for name in ("one", "other")
    )
    assert one
    assert other
    assert not one & other


def test_no_row_of_a_role_says_what_is_there(log):
    write(log, "a", age=[1], **{"log/role": "canary", "log/version": 3})
    with pytest.raises(DataError) as raised:
        run(log, roles=["batch"], versions=[1])
    assert str(raised.value).startswith(
        "expected rows of roles 'batch' and versions 1, found 'canary' of version 3"
    )


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"log_span": "week"}, "expected a log_span of hour or day, got 'week'"),
        ({"windows": 0}, "expected windows of at least 1, got 0"),
        ({"windows": 1, "range_config": RangeConfig()}, "one of windows and range_config"),
        ({"roles": ["prodution"]}, "Did you mean"),
        ({"roles": []}, "roles is empty"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_runs(log, parameters, said):
    write(log, "a", age=[1])
    with pytest.raises(ParameterError, match=said):
        run(log, **parameters)


def test_parquet_that_is_no_log_is_named(log):
    folder = log / "day-5"
    folder.mkdir(parents=True)
    pq.write_table(pa.table({"age": [1]}), folder / "part-a.parquet")
    with pytest.raises(DataError, match=r"no column 'log/request_id'.*part-a\.parquet"):
        run(log)


def test_a_log_can_be_in_an_object_store(log, tmp_path):
    write(log, "a", age=[1, 2])
    store = fsspec.filesystem("memory")
    store.put(str(log), "/bucket/people", recursive=True)
    try:
        context = NodeContext(temporary_directory=str(tmp_path / "fetched"))
        assert ages(run(log, input_base="memory://bucket/people", context=context)) == [1, 2]
    finally:
        store.rm("/bucket", recursive=True)


def test_a_span_is_read_again_when_rows_have_come(log, run_pipeline):
    @pipeline
    def watch() -> Any:
        return [ServingLogGen(input_base=str(log))]

    write(log, "a", age=[1, 2])
    states = []
    for late in (None, None, "b"):
        if late is not None:
            write(log, late, age=[3], **{"log/request_id": ["late"]})
        result = run_pipeline(watch)
        states.append(result.nodes["ServingLogGen"].state.value)
    assert states == ["done", "cached", "done"]
    examples = result.output("ServingLogGen", "examples")
    assert ages(examples) == [1, 2, 3]
