import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx_bsl.coders.example_coder import ExamplesToRecordBatchDecoder

from penstock.data import records
from penstock.data.coding import decoding, examples
from penstock.data.coding.decoding import buffered
from penstock.data.coding.example_proto import example_class

INTS = st.integers(-(1 << 63), (1 << 63) - 1)
FLOATS = st.floats(width=32, allow_nan=False)
# tfx_bsl ends a name at a NUL character.
# Longer names, in bytes, are left to the other decoder.
NAMES = st.text(
    st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), min_size=1, max_size=60
)


def decode_alike(serialized, columns=None):
    return decoding.decode_alike(buffered(serialized), columns)


def by_tfx_bsl(serialized, schema=None):
    decoder = ExamplesToRecordBatchDecoder(schema and schema.SerializeToString())
    return decoder.DecodeBatch(serialized)


def columns(values, arrow_type, most):
    rows = st.lists(st.none() | st.lists(values, max_size=most), min_size=6, max_size=6)
    return rows.map(lambda row: pa.array(row, pa.list_(arrow_type)))


@settings(max_examples=150, deadline=None)
@given(
    st.dictionaries(
        NAMES | st.just("n" * 200),
        columns(INTS | st.integers(0, 300), pa.int64(), 4)
        | columns(FLOATS, pa.float32(), 4)
        | columns(st.binary(max_size=300), pa.binary(), 1)
        | st.just(pa.nulls(6)),
        min_size=1,
        max_size=6,
    )
)
def test_records_that_are_alike_are_decoded_as_by_tfx_bsl(arrays):
    batch = pa.RecordBatch.from_arrays(list(arrays.values()), list(arrays))
    serialized = examples.encode(batch)
    decoded, expected = decode_alike(serialized), by_tfx_bsl(serialized)
    assert decoded is not None
    assert decoded.schema == expected.schema
    assert decoded.equals(expected)


# What one value of a row is, and whether it fits in the sizes of one byte that most entries have.
SHORT = {
    "one_byte": [[0], [127], [5]],
    "several_bytes": [[128], [16_384], [(1 << 56) - 1]],
    "nine_bytes": [[1 << 56], [(1 << 63) - 1], [1]],
    "negative": [[-1], [-(1 << 63)], [3]],
    "several_numbers": [[1, 2], [300], [-5, 7, 1 << 40]],
    "numbers_or_none": [[1], [], None],
    "floats": [[0.5], [-1.0], [float("inf")]],
    "several_floats": [[0.5, 2.0], [], [1.0]],
    "strings": [["naïve"], ["日本語 🚕"], [""]],
    "strings_or_none": [["x"], [], None],
    "no_lists": [None, None, None],
    "empty_lists": [[], [], []],
    "as_long_as_can_be": [["x" * 105], [""], ["y"]],
    "long_strings": [["x" * 128], ["y" * 20_000], ["z"]],
    "many_numbers": [list(range(200)), [1], None],
    "n" * 117: [[1], [2], [3]],
    "n" * 118: [[1], [2], [3]],
    "n" * 119: [[1], [], None],
    "naïve 🚕": [["a"], ["b"], ["c"]],
}


KINDS = {"empty_lists": pa.list_(pa.int64())}


@pytest.mark.parametrize("name", SHORT)
def test_every_shape_of_a_feature_is_decoded_as_by_tfx_bsl(name):
    values = pa.array(SHORT[name], KINDS.get(name))
    batch = pa.RecordBatch.from_arrays([pa.array([1, 2, 3]), values, values], ["a", name, "z"])
    serialized = examples.encode(batch)
    for records_alike in (serialized, serialized[::-1], serialized[1:], serialized[2:]):
        decoded = decode_alike(records_alike)
        assert decoded is not None
        assert decoded.equals(by_tfx_bsl(records_alike))


def test_records_in_several_buffers_are_joined():
    serialized = encode({"a": [1, 2, 3, 4], "b": ["naïve", "", None, "x" * 200]})
    parts = [buffered(serialized[:1]), buffered(serialized[1:])]
    together = decoding.joined([parts[0], parts[1].between(0, 1), parts[1].between(1, 3)])
    assert together.as_list() == serialized
    assert decoding.decode_alike(together).equals(by_tfx_bsl(serialized))


@settings(max_examples=300, deadline=None)
@given(st.lists(st.binary(max_size=12), min_size=1, max_size=4), st.data())
def test_any_bytes_are_decoded_as_by_tfx_bsl_or_not_at_all(changes, data):
    batch = pa.RecordBatch.from_arrays(
        [pa.array([300, 1, 2]), pa.array([0.5, 1, 2]), pa.array(["a", "bc", ""])], ["i", "f", "s"]
    )
    serialized = examples.encode(batch)
    for change in changes:
        row = data.draw(st.integers(0, 2))
        at = data.draw(st.integers(0, len(serialized[row])))
        cut = at + data.draw(st.integers(0, len(change)))
        serialized[row] = serialized[row][:at] + change + serialized[row][cut:]
    decoded = decode_alike(serialized)
    if decoded is not None:
        expected = by_tfx_bsl(serialized)
        assert decoded.to_pydict().keys() == expected.to_pydict().keys()
        assert str(decoded.to_pydict()) == str(expected.to_pydict())


@pytest.mark.parametrize(
    "batches",
    [
        [{"a": [1]}, {"b": [1]}],
        [{"a": [1]}, {"a": [1], "b": [2]}],
        [{"a": [["x", "y"]]}],
    ],
)
def test_records_that_are_not_alike_are_left_to_tfx_bsl(batches, tmp_path):
    serialized = [record for columns in batches for record in encode(columns)]
    assert decode_alike(serialized) is None
    paths = records.write_serialized(str(tmp_path), "data", serialized)
    (read,) = records.read_record_batches(paths)
    assert read.equals(by_tfx_bsl(serialized))


def encode(columns):
    arrays = [pa.array(values) for values in columns.values()]
    return examples.encode(pa.RecordBatch.from_arrays(arrays, list(columns)))


def test_kinds_that_change_from_record_to_record_are_not_alike():
    assert decode_alike(encode({"a": [1]}) + encode({"a": [0.5]})) is None


def test_no_records_are_not_alike():
    assert decode_alike([]) is None


def test_unpacked_numbers_are_left_to_tfx_bsl():
    packed = encode({"a": [1]})[0]
    unpacked = packed.replace(b"\x1a\x03\n\x01\x01", b"\x1a\x02\x08\x01")
    unpacked = unpacked.replace(b"\x12\x05", b"\x12\x04").replace(b"\n\n", b"\n\t")
    unpacked = unpacked.replace(b"\n\x0c", b"\n\x0b", 1)
    assert example_class().FromString(unpacked) == example_class().FromString(packed)
    assert decode_alike([unpacked]) is None


def test_only_the_asked_columns_are_decoded():
    decoded = decode_alike(encode({"a": [1], "b": [2], "c": [3]}), ["c", "a"])
    assert decoded.to_pydict() == {"a": [[1]], "c": [[3]]}


def test_a_schema_is_followed_as_by_tfx_bsl(tmp_path):
    schema = schema_pb2.Schema()
    for name, kind in (("z", schema_pb2.FLOAT), ("b", schema_pb2.BYTES), ("a", schema_pb2.INT)):
        schema.feature.add(name=name, type=kind)
    serialized = encode({"a": [1, None], "b": [None, "x"], "c": [1, 2]})
    assert decode_alike(serialized) is not None
    paths = records.write_serialized(str(tmp_path), "data", serialized)
    (read,) = records.read_record_batches(paths, schema=schema)
    expected = by_tfx_bsl(serialized, schema)
    assert read.schema == expected.schema
    assert read.equals(expected)
