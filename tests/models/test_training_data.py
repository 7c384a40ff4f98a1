"""The rows of a split as training code has them, from TFRecord and from Parquet."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from penstock.data.coding.examples import encode
from penstock.data.records import write_serialized
from penstock.errors import DataError
from penstock.models import TrainingData, class_numbers

ROWS = pa.table(
    {
        "age": pa.array([1, 2, None, 4], pa.int64()),
        "income": pa.array([1.5, None, 3.5, 4.5], pa.float32()),
        "city": pa.array(["Oslo", "Rome", None, "Linz"]),
    }
)


def records(folder, rows=ROWS, shards=1):
    batch = rows.combine_chunks().to_batches()[0]
    return tuple(write_serialized(str(folder), "data_tfrecord", encode(batch), shards))


def parquet(folder, rows=ROWS):
    path = str(folder / "data_parquet-00000-of-00001.parquet")
    pq.write_table(rows, path)
    return (path,)


@pytest.mark.parametrize("write", [records, parquet])
def test_rows_come_back_as_they_were(tmp_path, write):
    data = TrainingData(write(tmp_path))
    table = data.as_arrow()
    assert table.select(ROWS.schema.names).to_pylist() == ROWS.to_pylist()
    assert {f.name: str(f.type) for f in table.schema} == {
        "age": "int64",
        "income": "float",
        "city": "string",
    }
    assert len(data) == 4


def test_columns_are_chosen_by_name(tmp_path):
    assert TrainingData(records(tmp_path)).as_arrow(["city"]).schema.names == ["city"]


def test_an_unknown_column_is_answered_with_the_nearest(tmp_path):
    with pytest.raises(DataError) as caught:
        TrainingData(records(tmp_path)).as_arrow(["ctiy"])
    assert "the examples have no column 'ctiy'" in str(caught.value)
    assert "Did you mean 'city'?" in str(caught.value)


def test_a_data_frame_has_nan_for_what_is_missing(tmp_path):
    frame = TrainingData(records(tmp_path)).as_pandas()
    assert frame["age"].isna().tolist() == [False, False, True, False]


def test_arrays_by_column(tmp_path):
    arrays = TrainingData(records(tmp_path)).as_numpy()
    assert np.isnan(arrays["income"]).tolist() == [False, True, False, False]
    assert arrays["city"].tolist() == ["Oslo", "Rome", None, "Linz"]


def test_batches_have_at_most_so_many_rows_and_one_schema(tmp_path):
    batches = list(TrainingData(records(tmp_path, shards=2)).batches(rows=1))
    assert [batch.num_rows for batch in batches] == [1] * 4
    assert len({str(batch.schema.field("age").type) for batch in batches}) == 1


def test_a_column_with_several_values_somewhere_is_one_of_lists(tmp_path):
    rows = pa.table({"tags": [["a"], ["b", "c"], []]})
    table = TrainingData(records(tmp_path, rows)).as_arrow()
    assert table.to_pylist() == rows.to_pylist()


def test_a_batch_with_lists_after_one_with_values_is_an_error(tmp_path):
    rows = pa.table({"tags": [["a"], ["b", "c"]]})
    with pytest.raises(DataError) as caught:
        list(TrainingData(records(tmp_path, rows)).batches(rows=1))
    assert "expected one value, got 2 (column tags)" in str(caught.value)
    assert "Let the schema say that there may be several" in str(caught.value)


def test_the_schema_says_what_is_a_list(tmp_path):
    schema = text_format.Parse(
        'feature { name: "tags" type: BYTES value_count { min: 0 max: 5 } }', schema_pb2.Schema()
    )
    rows = pa.table({"tags": [["a"], ["b"]]})
    (batch,) = TrainingData(records(tmp_path, rows), schema).batches()
    assert batch.to_pylist() == [{"tags": ["a"]}, {"tags": ["b"]}]


def test_the_schema_says_what_type_a_column_without_values_has(tmp_path):
    schema = text_format.Parse('feature { name: "age" type: INT }', schema_pb2.Schema())
    rows = pa.table({"age": pa.array([None, 5], pa.int64())})
    batches = list(TrainingData(records(tmp_path, rows), schema).batches(rows=1))
    assert [str(batch.schema.field("age").type) for batch in batches] == ["int64", "int64"]


def test_bytes_that_are_no_text_stay_bytes(tmp_path):
    rows = pa.table({"image": pa.array([b"\xff\x00", b"ok"], pa.binary())})
    assert TrainingData(records(tmp_path, rows)).as_arrow().to_pylist() == rows.to_pylist()


def test_classes_have_numbers():
    rows = pa.table({"label": ["b", "a", "b"]})
    assert class_numbers(rows, "label", ("a", "b")).tolist() == [1, 0, 1]


def test_a_label_that_is_no_class_is_told_with_its_row():
    with pytest.raises(DataError) as caught:
        class_numbers(pa.table({"label": ["a", "c"]}), "label", ("a", "b"))
    assert "row 1: expected one of the classes 'a', 'b', got 'c' (column label)" in str(
        caught.value
    )


def test_a_dataset_of_pytorch(tmp_path):
    torch = pytest.importorskip("torch", reason="PyTorch has an environment of its own")
    data = TrainingData(records(tmp_path))
    dataset = data.as_torch_dataset(["age", "income"], "age")
    assert len(dataset) == 4
    inputs, label = dataset[0]
    assert inputs.tolist() == [1.0, 1.5]
    assert label.dtype == torch.float32


def test_whole_and_other_numbers_in_different_files_become_floats(tmp_path):
    files = [
        *records(tmp_path / "whole", pa.table({"x": pa.array([1, 2])})),
        *records(tmp_path / "other", pa.table({"x": pa.array([2.5], pa.float32())})),
    ]
    for order in (files, files[::-1]):
        table = TrainingData(tuple(order)).as_arrow()
        assert str(table.schema.field("x").type) == "float"
        assert sorted(table.column("x").to_pylist()) == [1.0, 2.0, 2.5]


def test_numbers_and_texts_in_different_files_are_refused(tmp_path):
    files = [
        *records(tmp_path / "whole", pa.table({"x": pa.array([1, 2])})),
        *records(tmp_path / "text", pa.table({"x": pa.array(["a"])})),
    ]
    with pytest.raises(DataError) as caught:
        TrainingData(tuple(files)).as_arrow()
    assert "the column has values of 2 types: int64, large_binary (column x)" in str(caught.value)
