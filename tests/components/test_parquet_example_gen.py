from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from penstock import BeamOptions
from penstock.artifacts import Examples
from penstock.components import ParquetExampleGen
from penstock.data import records, splits
from penstock.data.ingestion import resolve_parameters
from penstock.data.payload import PayloadFormat
from penstock.data.splits import InputConfig, InputSplit
from penstock.errors import DataError

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
    resolved = resolve_parameters({"input_base": data, **parameters})
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


def run_on_splits(folder, tables, **parameters):
    data = folder / "tables"
    data.mkdir()
    for name, table in tables.items():
        pq.write_table(pa.table(table), data / f"{name}.parquet")
    config = InputConfig((InputSplit("train", "a*"), InputSplit("eval", "b*")))
    return run(folder / "examples", str(data), input_config=config, **parameters)


@pytest.mark.parametrize("payload", ["FORMAT_TF_EXAMPLE", "FORMAT_PARQUET"])
def test_a_column_of_integers_in_one_split_and_fractions_in_another_is_of_fractions(
    tmp_path, payload, capfd
):
    examples = run_on_splits(
        tmp_path,
        {"a": {"x": [1, 2, 3]}, "b": {"x": [2.5, 3.5]}},
        output_data_format=PayloadFormat[payload],
    )
    assert [row["x"] for row in rows(examples, "train")] == [[1.0], [2.0], [3.0]]
    (batch,) = records.read_record_batches(splits.split_files(examples, "train"))
    assert batch.schema.field("x").type == pa.large_list(pa.float32())
    assert "it is read as fractions everywhere" in capfd.readouterr().out


@pytest.mark.parametrize("payload", ["FORMAT_TF_EXAMPLE", "FORMAT_PARQUET"])
def test_files_that_make_the_same_features_are_read_together(tmp_path, payload):
    examples = run_on_splits(
        tmp_path,
        {
            "a1": {"x": pa.array(["a"]), "n": pa.array([1], pa.int32())},
            "a2": {"n": pa.array([2]), "x": pa.array(["b"]).dictionary_encode()},
            "a3": {"x": pa.array(["c"], pa.large_string()), "n": pa.nulls(1)},
            "b": {"x": pa.nulls(1), "n": pa.array([4], pa.uint8())},
        },
        output_data_format=PayloadFormat[payload],
    )
    assert rows(examples, "train") == [
        {"n": [1], "x": [b"a"]},
        {"n": [2], "x": [b"b"]},
        {"n": None, "x": [b"c"]},
    ]


@pytest.mark.parametrize(
    "beam",
    [BeamOptions(), pytest.param(BEAM, marks=pytest.mark.needs("apache_beam"))],
)
def test_splits_that_make_different_features_are_refused(tmp_path, beam):
    with pytest.raises(DataError, match=r"column is string here and int64 in .*a\.parquet"):
        run_on_splits(tmp_path, {"a": {"x": [1]}, "b": {"x": ["1"]}}, beam=beam)


def test_a_value_that_has_no_place_is_reported_with_its_file(tmp_path):
    with pytest.raises(DataError, match=r"more digits .*a\.parquet, column x"):
        run_on_splits(tmp_path, {"a": {"x": [Decimal("12345678.91")]}, "b": {"x": [Decimal(1)]}})


@pytest.mark.parametrize(
    "beam",
    [BeamOptions(), pytest.param(BEAM, marks=pytest.mark.needs("apache_beam"))],
)
def test_columns_that_are_not_chosen_may_be_of_any_type(tmp_path, beam):
    tables = {"a": {"x": [1], "y": [{"z": 1}]}, "b": {"x": [2], "y": [2.5]}}
    examples = run_on_splits(tmp_path, tables, columns=["x"], beam=beam)
    assert rows(examples, "eval") == [{"x": [2]}]
