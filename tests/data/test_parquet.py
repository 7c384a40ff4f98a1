import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from penstock.data import parquet, records
from penstock.data.coding import examples
from penstock.errors import DataError

pytestmark = pytest.mark.core


@pytest.fixture
def file(tmp_path):
    """Write columns as a Parquet file and return its path."""

    def write(name="data.parquet", **columns):
        path = str(tmp_path / name)
        pq.write_table(pa.table(columns), path, row_group_size=2)
        return path

    return write


def test_rows_of_all_files_are_read(file):
    paths = [file("a.parquet", x=[1, 2, 3]), file("b.parquet", x=[4])]
    batches = [batch for path in paths for batch in parquet.read_file(path, batch_rows=2)]
    assert [batch.column(0).to_pylist() for batch in batches] == [[1, 2], [3], [4]]


def test_columns_and_row_groups_can_be_chosen(file):
    path = file(x=[1, 2, 3], y=["a", "b", "c"])
    assert parquet.row_group_count(path) == 2
    (batch,) = parquet.read_file(path, columns=["y"], row_groups=[1])
    assert batch.to_pydict() == {"y": ["c"]}


def test_an_unknown_column_is_answered_with_the_nearest(file):
    with pytest.raises(DataError, match=r"no column 'fair' .*Did you mean 'fare'\?"):
        list(parquet.read_file(file(fare=[1]), columns=["fair"]))


def test_schemas_must_be_the_same(file):
    paths = [file("a.parquet", x=[1]), file("b.parquet", x=[1.0])]
    with pytest.raises(DataError, match=r"column 'x' is double here and int64 there.*b\.parquet"):
        parquet.common_schema(paths)


def test_a_type_without_a_place_is_reported_with_its_file(file):
    with pytest.raises(DataError, match=r"struct<a: int64> .*data\.parquet, column x"):
        parquet.common_schema([file(x=[{"a": 1}])])


def test_a_file_that_is_not_parquet_is_reported(tmp_path):
    path = tmp_path / "data.parquet"
    path.write_text("a,b\n")
    with pytest.raises(DataError, match="cannot read the Parquet file"):
        parquet.common_schema([str(path)])


def test_examples_are_read_from_parquet_as_from_tfrecords(file, tmp_path):
    path = file(i=[1, None], f=[0.5, 1.5], s=["a", "b"], l=[[1, 2], []])
    (table,) = parquet.read_file(path)
    written = records.write_serialized(str(tmp_path / "r"), "data", examples.encode(table))
    (expected,) = records.read_record_batches(written, columns=table.schema.names)
    (read,) = records.read_record_batches(path)
    assert read.schema == expected.schema
    assert read.to_pydict() == expected.to_pydict()


def test_a_schema_gives_the_columns_of_parquet_examples(file):
    from tensorflow_metadata.proto.v0 import schema_pb2

    schema = schema_pb2.Schema()
    schema.feature.add(name="z", type=schema_pb2.BYTES)
    schema.feature.add(name="i", type=schema_pb2.INT)
    (read,) = records.read_record_batches(file(i=[1], f=[0.5]), schema=schema)
    assert read.to_pydict() == {"z": [None], "i": [[1]]}
    assert read.schema.types[0] == pa.large_list(pa.large_binary())


def test_columns_that_are_not_of_the_types_of_the_schema_are_reported(file):
    from tensorflow_metadata.proto.v0 import schema_pb2

    schema = schema_pb2.Schema()
    schema.feature.add(name="i", type=schema_pb2.FLOAT)
    with pytest.raises(
        DataError, match=r"not of the types of the schema; there are i \(large_list<item: int64>\)"
    ):
        list(records.read_record_batches(file(i=[1]), schema=schema))


def test_what_is_written_is_read(tmp_path):
    batch = pa.RecordBatch.from_arrays([pa.array([1, 2, 3])], ["x"])
    path = str(tmp_path / "data.parquet")
    with parquet.ParquetWriter(path, batch.schema) as writer:
        for part in (batch.slice(0, 1), batch.slice(1)):
            writer.write(part, group_rows=2)
    assert pq.read_table(path).to_pydict() == {"x": [1, 2, 3]}
