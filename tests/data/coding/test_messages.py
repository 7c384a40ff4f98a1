"""Examples are decoded message by message as tfx_bsl does it, and without tfx_bsl."""

import sys

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorflow_metadata.proto.v0 import schema_pb2

from penstock.data import records
from penstock.data.coding.example_proto import example_class
from penstock.data.coding.messages import MessageDecoder
from penstock.errors import DataError

pytestmark = pytest.mark.core

VALUES = {
    "int64_list": st.integers(-(1 << 63), (1 << 63) - 1),
    "float_list": st.floats(width=32, allow_nan=False),
    "bytes_list": st.binary(max_size=5),
}
SCHEMA = schema_pb2.Schema()
for kind, type_ in (("bytes_list", "BYTES"), ("int64_list", "INT"), ("float_list", "FLOAT")):
    SCHEMA.feature.add(name=kind, type=type_)
SCHEMA.feature.add(name="nowhere", type="INT")


def example(**features):
    made = example_class()()
    for name, (kind, values) in features.items():
        feature = made.features.feature[name]
        feature.SetInParent()
        if kind:
            getattr(feature, kind).SetInParent()
            getattr(feature, kind).value.extend(values)
    return made.SerializeToString()


@st.composite
def serialized(draw):
    kinds = {kind: st.just(kind) for kind in VALUES}
    kinds["other"] = st.sampled_from([*VALUES, None])
    rows = []
    for _ in range(draw(st.integers(0, 4))):
        features = {}
        for name in draw(st.sets(st.sampled_from(list(kinds)))):
            kind = draw(kinds[name])
            values = draw(st.lists(VALUES[kind], max_size=3)) if kind else []
            features[name] = (draw(st.sampled_from([kind, None])), values)
        rows.append(example(**features))
    return rows


@pytest.mark.needs("tfx_bsl")
@pytest.mark.parametrize("schema", [None, SCHEMA])
@settings(max_examples=300, deadline=None)
@given(data=serialized())
def test_records_of_any_build_are_decoded_as_by_tfx_bsl(data, schema):
    from tfx_bsl.coders import example_coder as coder

    theirs = coder.ExamplesToRecordBatchDecoder(schema and schema.SerializeToString())
    expected, reason = None, ""
    try:
        expected = theirs.DecodeBatch(data)
    except RuntimeError as error:
        reason = str(error)
    if expected is None:
        with pytest.raises(ValueError) as raised:  # noqa: PT011  # the words are compared
            MessageDecoder(schema).DecodeBatch(data)
        assert str(raised.value).partition(",")[0] == reason.partition(",")[0]
        return
    decoded = MessageDecoder(schema).DecodeBatch(data)
    assert decoded.num_rows == expected.num_rows
    assert decoded.schema == expected.schema
    assert decoded.equals(expected)


def without_tfx_bsl(monkeypatch):
    monkeypatch.setitem(sys.modules, "tfx_bsl.coders.example_coder", None)


def test_records_that_are_not_alike_are_read_without_tfx_bsl(monkeypatch, tmp_path):
    without_tfx_bsl(monkeypatch)
    data = [example(a=("int64_list", [1])), example(b=("bytes_list", [b"x", b"y"]))]
    paths = records.write_serialized(str(tmp_path), "data", data)
    (read,) = records.read_record_batches(paths)
    assert read.to_pydict() == {"a": [[1], None], "b": [None, [b"x", b"y"]]}
    assert read.schema.field("a").type == pa.large_list(pa.int64())


def test_a_record_that_is_no_example_is_named_without_tfx_bsl(monkeypatch, tmp_path):
    without_tfx_bsl(monkeypatch)
    data = [example(a=("int64_list", [1])), b"\xff\xff"]
    paths = records.write_serialized(str(tmp_path), "data", data)
    with pytest.raises(
        DataError, match="record 1 cannot be read as a tf.Example: Unable to parse example"
    ):
        list(records.read_record_batches(paths))
