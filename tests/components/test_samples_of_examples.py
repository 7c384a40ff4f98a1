"""A sample of the rows, taken by every ExampleGen in the same way."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from penstock import BeamOptions
from penstock.artifacts import Examples
from penstock.components import CsvExampleGen, ImportExampleGen, ParquetExampleGen
from penstock.data import records, splits
from penstock.data.ingestion import resolve_parameters
from penstock.data.payload import PayloadFormat
from penstock.data.splits import InputConfig, InputSplit, OutputConfig, SplitBuckets, SplitConfig
from penstock.errors import ParameterError

ROWS = 1000
BEAM = BeamOptions(("--runner=DirectRunner",))
BY_USER = OutputConfig(
    SplitConfig((SplitBuckets("train", 1), SplitBuckets("eval", 1)), partition_feature_name="user")
)


@pytest.fixture
def sources(tmp_path):
    """The same rows as CSV and as Parquet, in a folder each."""
    users, numbers = [f"user{n % 200}" for n in range(ROWS)], list(range(ROWS))
    for name in ("csv", "parquet"):
        (tmp_path / name).mkdir()
    lines = "".join(f"{user},{number}\n" for user, number in zip(users, numbers, strict=True))
    (tmp_path / "csv" / "data.csv").write_text("user,number\n" + lines)
    pq.write_table(pa.table({"user": users, "number": numbers}), tmp_path / "parquet/data.parquet")
    return tmp_path


@pytest.fixture
def make(sources):
    def run(component, source, **parameters):
        examples = Examples()
        examples.uri = str(sources / f"examples-{len(list(sources.iterdir()))}")
        parameters = {"input_base": str(sources / source), **parameters}
        beam = parameters.pop("beam", BeamOptions())
        component.function(
            examples=examples, **parameters, **resolve_parameters(parameters), beam=beam
        )
        return examples

    return run


def rows(examples):
    return {
        split: sorted(
            (row["user"][0], row["number"][0])
            for batch in records.read_record_batches(splits.split_files(examples, split))
            for row in batch.to_pylist()
        )
        for split in splits.split_names(examples)
    }


def test_a_rate_takes_about_that_share_of_every_split(make):
    everything = rows(make(CsvExampleGen, "csv"))
    taken = rows(make(CsvExampleGen, "csv", sample_rate=0.2))
    for split in ("train", "eval"):
        assert set(taken[split]) < set(everything[split])
        assert 0.13 < len(taken[split]) / len(everything[split]) < 0.27


def test_the_same_rows_are_taken_from_another_format(make):
    csv = rows(make(CsvExampleGen, "csv", sample_rate=0.2))
    assert rows(make(ParquetExampleGen, "parquet", sample_rate=0.2)) == csv
    as_parquet = PayloadFormat.FORMAT_PARQUET
    assert rows(make(CsvExampleGen, "csv", sample_rate=0.2, output_data_format=as_parquet)) == csv


def test_a_larger_sample_has_the_rows_of_a_smaller_one(make):
    small, large = (rows(make(CsvExampleGen, "csv", sample_rate=rate)) for rate in (0.1, 0.4))
    assert all(set(small[split]) < set(large[split]) for split in small)


def test_what_belongs_together_is_taken_together(make):
    taken = rows(make(CsvExampleGen, "csv", sample_rate=0.3, output_config=BY_USER))
    users = [user for found in taken.values() for user, _ in found]
    assert 0 < len(users) < ROWS
    assert {users.count(user) for user in users} == {ROWS / 200}


def test_beam_takes_the_same_rows(make):
    ours = rows(make(CsvExampleGen, "csv", sample_rate=0.2))
    assert rows(make(CsvExampleGen, "csv", sample_rate=0.2, beam=BEAM)) == ours


def test_records_are_sampled_without_new_splits_too(make):
    written = make(CsvExampleGen, "csv")
    source = f"{written.uri}/Split-train".rpartition("/examples")[2]
    named = InputConfig((InputSplit("train", "*"),))
    arguments = {"input_config": named, "sample_rate": 0.5}
    own = OutputConfig(SplitConfig((SplitBuckets("train", 1),)))
    taken = rows(make(ImportExampleGen, f"examples{source}", **arguments, output_config=own))
    all_rows = rows(written)["train"]
    assert set(taken["train"]) < set(all_rows)
    assert 0.4 < len(taken["train"]) / len(all_rows) < 0.6
    on_beam = make(ImportExampleGen, f"examples{source}", **arguments, output_config=own, beam=BEAM)
    assert rows(on_beam) == taken


@pytest.mark.parametrize("rate", [0.0, 1.5, -1.0])
def test_a_rate_that_is_none_is_refused_before_anything_runs(make, rate):
    with pytest.raises(ParameterError, match="above 0 and at most 1"):
        make(CsvExampleGen, "csv", sample_rate=rate)
