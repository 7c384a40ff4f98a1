import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from penstock import BeamOptions
from penstock.artifacts import Examples
from penstock.components import ParquetExampleGen
from penstock.data import records, splits
from penstock.data.ingestion import resolve_parameters

pytestmark = pytest.mark.core

BEAM = BeamOptions(("--runner=DirectRunner",))


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    for part in range(2):
        columns = {
            "id": list(range(part * 100, part * 100 + 100)),
            "zero": [0.0, None] * 50,
            "tags": [["a", "b"], []] * 50,
        }
        pq.write_table(pa.table(columns), folder / f"{part}.parquet", row_group_size=30)
    return str(folder)


def run(folder, data, **parameters):
    examples = Examples()
    examples.uri = str(folder)
    resolved = resolve_parameters({"input_base": data})
    ParquetExampleGen.function(examples=examples, input_base=data, **parameters, **resolved)
    return examples


def rows(examples, split):
    batches = records.read_record_batches(splits.split_files(examples, split))
    return [row for batch in batches for row in batch.to_pylist()]


def test_rows_become_examples_in_splits(data, tmp_path):
    examples = run(tmp_path / "examples", data)
    found = {row["id"][0]: row for split in ("train", "eval") for row in rows(examples, split)}
    assert len(found) == 200
    assert found[0] == {"id": [0], "zero": [0.0], "tags": [b"a", b"b"]}
    assert found[101] == {"id": [101], "zero": None, "tags": []}


def test_columns_can_be_chosen(data, tmp_path):
    examples = run(tmp_path / "examples", data, columns=["id"])
    assert set(rows(examples, "train")[0]) == {"id"}


@pytest.mark.needs("apache_beam")
def test_beam_writes_the_same_records_to_the_same_splits(data, tmp_path):
    ours, on_beam = run(tmp_path / "one", data), run(tmp_path / "other", data, beam=BEAM)
    for split in ("train", "eval"):
        expected = sorted(records.read_serialized(splits.split_files(ours, split)))
        assert sorted(records.read_serialized(splits.split_files(on_beam, split))) == expected
