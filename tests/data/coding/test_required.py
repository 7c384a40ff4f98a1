"""Rows that lack what a schema says they have are named."""

import pyarrow as pa
import pytest
from google.protobuf import text_format

from penstock.data.coding import examples
from penstock.data.coding.required import with_required
from penstock.errors import DataError

PATH = "/data/Split-train/data.gz"


def schema(text):
    from tensorflow_metadata.proto.v0 import schema_pb2

    return text_format.Parse(text, schema_pb2.Schema())


ONE = 'feature { name: "x" type: FLOAT presence { min_fraction: 1 } shape { dim { size: 1 } } }'
TWO = ONE.replace("size: 1", "size: 2")
OPTIONAL = 'feature { name: "x" type: FLOAT }'


def read(text, *columns):
    batches = [
        examples.to_feature_lists(pa.RecordBatch.from_arrays([column], ["x"])) for column in columns
    ]
    return list(with_required(batches, schema(text), PATH))


@pytest.mark.parametrize(
    ("text", "columns", "words"),
    [
        (ONE, [pa.array([1.0, None, None])], "no value in row 1 of split 'train', as in 1 more of"),
        (ONE, [pa.array([1.0]), pa.nulls(1)], "no value in row 1 of split 'train', and"),
        (ONE, [pa.array([[1.0], [2.0, 3.0]])], "2 values in row 1 of split 'train', and by the"),
        (TWO, [pa.array([[1.0]])], "1 values in row 0 .* each row has 2"),
    ],
)
def test_a_row_without_a_required_feature_is_named(text, columns, words):
    with pytest.raises(DataError, match=f"feature 'x' has {words}") as caught:
        read(text, *columns)
    assert (caught.value.path, caught.value.column) == (PATH, "x")
    assert "take its shape out of the schema" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("text", "column"),
    [
        (ONE, pa.array([1.0, 2.0])),
        (ONE, pa.array([1.0, 2.0, 3.0]).slice(1)),
        (TWO, pa.array([[1.0, 2.0]])),
        (OPTIONAL, pa.array([1.0, None])),
    ],
)
def test_rows_with_what_is_asked_for_are_passed_on(text, column):
    (batch,) = read(text, column)
    assert batch.num_rows == len(column)
