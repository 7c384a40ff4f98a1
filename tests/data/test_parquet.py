import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from penstock.data import parquet, records
from penstock.data.coding import examples
from penstock.data.file_columns import common_types as common_types_of
from penstock.errors import DataError

pytestmark = pytest.mark.core


def common_types(files_of_splits, *arguments, **options):
    return common_types_of(files_of_splits, parquet.schema_of, *arguments, **options)


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


@pytest.mark.parametrize(
    ("one", "other", "common"),
    [
        (pa.array(["a"]), pa.array(["b"], pa.large_string()), pa.large_string()),
        (pa.array([1], pa.int32()), pa.array([2], pa.int64()), pa.int64()),
        (pa.array(["a"]).dictionary_encode(), pa.array(["b"]), pa.string()),
        (pa.nulls(1), pa.array([0.5]), pa.float64()),
        (pa.array([0.5], pa.float32()), pa.array([0.25], pa.float64()), pa.float64()),
        (pa.array([True]), pa.array([2]), pa.large_list(pa.int64())),
        (pa.array(["a"]), pa.array([b"b"]), pa.large_list(pa.large_binary())),
        (pa.array([1]), pa.array([[2, 3]]), pa.large_list(pa.int64())),
        (pa.array([1]), pa.array([0.5]), pa.large_list(pa.float32())),
    ],
)
def test_types_that_make_one_feature_become_one_type(file, one, other, common):
    for first, second in ((one, other), (other, one)):
        paths = [file("a.parquet", x=first), file("b.parquet", x=second)]
        for files_of_splits in ([paths], [[path] for path in paths]):
            types = common_types(files_of_splits)
            assert types == {"x": common}
        assert [
            batch.schema.field("x").type
            for path in paths
            for batch in parquet.read_file(path, types=types)
        ] == [common, common]


def test_columns_may_be_in_another_order(file):
    paths = [file("a.parquet", x=[1], y=["a"]), file("b.parquet", y=["b"], x=[2])]
    types = common_types([paths])
    read = [batch.to_pydict() for path in paths for batch in parquet.read_file(path, types=types)]
    assert read == [{"x": [1], "y": ["a"]}, {"x": [2], "y": ["b"]}]
    assert list(read[1]) == ["x", "y"]


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (pa.array(["a"]), "column is string here and int64 in .*a.parquet, which make different"),
        (pa.array([1], pa.duration("s")), "integers|durations in s"),
    ],
)
def test_types_that_make_different_features_are_refused_with_file_and_column(file, other, words):
    paths = [file("a.parquet", x=[1]), file("b.parquet", x=other)]
    for files_of_splits in ([paths], [[path] for path in paths]):
        with pytest.raises(DataError, match=words) as caught:
            common_types(files_of_splits)
        assert (caught.value.path, caught.value.column) == (paths[1], "x")


def test_booleans_and_fractions_are_refused(file):
    paths = [file("a.parquet", x=[True]), file("b.parquet", x=[0.5])]
    with pytest.raises(DataError, match="features: fractions and booleans"):
        common_types([paths])


def test_durations_of_different_units_are_refused(file):
    paths = [file(f"{unit}.parquet", x=pa.array([1], pa.duration(unit))) for unit in ("s", "ms")]
    with pytest.raises(DataError, match="durations in ms and durations in s"):
        common_types([paths])


def test_integers_that_a_column_of_floats_cannot_hold_are_refused(file):
    paths = [file("a.parquet", x=[2**24 + 1]), file("b.parquet", x=[0.5])]
    types = common_types([paths])
    with pytest.raises(DataError, match=r"cannot hold all of its integers.*16777217") as caught:
        list(parquet.read_file(paths[0], types=types))
    assert (caught.value.path, caught.value.column) == (paths[0], "x")


def test_what_becomes_of_integers_beside_fractions_is_said(file):
    notices = []
    paths = [file("a.parquet", x=[1]), file("b.parquet", x=[0.5])]
    common_types([paths], notice=notices.append)
    assert notices[-1] == (
        f"Column 'x' has integers in {paths[0]} and fractions in {paths[1]}: it is read as "
        "fractions everywhere."
    )


def test_files_of_a_split_have_the_same_columns(file):
    paths = [file("a.parquet", x=[1], y=[1]), file("b.parquet", x=[1])]
    with pytest.raises(DataError, match=r"this one has no column 'y', compared with .*a\.parquet"):
        common_types([paths])
    assert common_types([paths], ["x"]) == {"x": pa.int64()}
    assert list(common_types([[path] for path in paths])) == ["x", "y"]


def test_a_type_without_a_place_is_reported_with_its_file(file):
    with pytest.raises(DataError, match=r"struct<a: int64> .*data\.parquet, column x"):
        common_types([[file(x=[{"a": 1}])]])


def test_columns_that_are_not_read_may_be_of_any_type(file):
    path = file(x=[{"a": 1}], y=[1])
    types = common_types([[path]], ["y"])
    (batch,) = parquet.read_file(path, types=types)
    assert batch.to_pydict() == {"y": [1]}


def test_a_file_that_is_not_parquet_is_reported(tmp_path):
    path = tmp_path / "data.parquet"
    path.write_text("a,b\n")
    with pytest.raises(DataError, match="cannot read the Parquet file"):
        common_types([[str(path)]])


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
