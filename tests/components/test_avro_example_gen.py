"""AvroExampleGen writes the rows of Avro files to the splits into which TFX puts them."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from penstock import BeamOptions
from penstock.artifacts import Examples
from penstock.components import AvroExampleGen
from penstock.data import records, splits
from penstock.data.ingestion import resolve_parameters
from penstock.data.payload import PayloadFormat
from penstock.data.splits import InputConfig, InputSplit
from penstock.errors import DataError

pytestmark = pytest.mark.needs("fastavro")


def run(folder: Path, data: str, **options: Any) -> Examples:
    examples = Examples()
    examples.uri = str(folder)
    parameters = {"input_config": InputConfig((InputSplit("all", "data*"),)), **options}
    resolved = resolve_parameters({"input_base": data, **parameters})
    AvroExampleGen.function(examples=examples, input_base=data, **parameters, **resolved)
    return examples


def serialized(examples: Examples, split: str) -> list[bytes]:
    return sorted(records.read_serialized(splits.split_files(examples, split)))


@pytest.fixture
def taxi() -> str:
    """TFX's own data."""
    found = importlib.util.find_spec("tfx")
    assert found is not None
    assert found.origin is not None
    return str(Path(found.origin).parent / "components" / "testdata" / "external" / "avro")


def test_all_rows_become_examples(taxi, tmp_path):
    examples = run(tmp_path / "examples", taxi)
    counts = {split: len(serialized(examples, split)) for split in ("train", "eval")}
    assert sum(counts.values()) == 10_000
    assert 6_000 < counts["train"] < 7_300


@pytest.mark.needs("apache_beam")
def test_beam_writes_the_same_records_to_the_same_splits(taxi, tmp_path):
    beam = BeamOptions(("--runner=DirectRunner",))
    ours, on_beam = run(tmp_path / "a", taxi), run(tmp_path / "b", taxi, beam=beam)
    for split in ("train", "eval"):
        assert serialized(ours, split) == serialized(on_beam, split)


def test_fields_can_be_chosen_and_parquet_be_written(taxi, tmp_path):
    examples = run(
        tmp_path / "examples",
        taxi,
        columns=["tips", "company"],
        output_data_format=PayloadFormat.FORMAT_PARQUET,
    )
    batch = next(records.read_record_batches(splits.split_files(examples, "train")))
    assert set(batch.schema.names) == {"tips", "company"}


def test_a_field_that_there_is_not_is_answered_with_the_nearest(taxi, tmp_path):
    with pytest.raises(DataError, match=r"the Avro file has no column 'tip'.*Did you mean 'tips'"):
        run(tmp_path / "examples", taxi, columns=["tip"])


def test_a_folder_without_avro_files_is_an_error_with_the_file(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "data.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="cannot read the Avro file: .*data.csv"):
        run(tmp_path / "examples", str(tmp_path / "data"))


@pytest.mark.needs("tfx.components")
def test_rows_without_zeros_are_the_bytes_by_which_tfx_splits(taxi, tmp_path):
    import fastavro
    from tfx.components.example_gen.utils import dict_to_example

    with Path(taxi, "data.avro").open("rb") as file:
        rows = [row for row in fastavro.reader(file) if all(v or v is None for v in row.values())]
    theirs = {dict_to_example(row).SerializeToString(deterministic=True) for row in rows}
    examples = run(tmp_path / "examples", taxi)
    ours = {record for split in ("train", "eval") for record in serialized(examples, split)}
    assert len(theirs) > 500
    assert theirs <= ours
