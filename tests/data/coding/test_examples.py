import datetime
import decimal

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.data.coding import examples
from penstock.data.coding.example_proto import example_class
from penstock.errors import DataError

pytestmark = pytest.mark.core

INTS = st.integers(-(1 << 63), (1 << 63) - 1)
FLOATS = st.floats(width=32, allow_nan=False)


def batch_of(**columns):
    return pa.RecordBatch.from_arrays(list(columns.values()), list(columns))


def features(record):
    """Features by name, as their kind and their values."""
    found = {}
    for name, feature in example_class().FromString(record).features.feature.items():
        kind = feature.WhichOneof("kind")
        found[name] = (kind, list(getattr(feature, kind).value)) if kind else (None, [])
    return found


def only(array, **options):
    return [features(record)["x"] for record in examples.encode(batch_of(x=array), **options)]


def lists_of(values, arrow_type):
    rows = st.lists(st.none() | st.lists(values, max_size=4), min_size=5, max_size=5)
    return rows.map(lambda row: pa.array(row, pa.list_(arrow_type)))


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(
        st.text(max_size=5),
        lists_of(INTS, pa.int64())
        | lists_of(FLOATS, pa.float32())
        | lists_of(st.binary(max_size=300), pa.binary())
        | st.just(pa.nulls(5)),
        max_size=6,
    )
)
def test_bytes_are_those_of_protobufs_deterministic_serialization(columns):
    batch = pa.RecordBatch.from_arrays(
        list(columns.values()), schema=pa.schema([(k, v.type) for k, v in columns.items()])
    )
    expected = []
    for row in range(batch.num_rows):
        message = example_class()()
        for name, array in columns.items():
            fill(message.features.feature[name], array, row)
        expected.append(message.SerializeToString(deterministic=True))
    assert [normal(r) for r in examples.encode(batch, rows=2)] == [normal(r) for r in expected]
    if columns:
        assert examples.encode(batch, rows=2) == expected


def normal(record):
    return record or b"\n\x00"


def fill(feature, array, row):
    feature.SetInParent()
    values = array[row].as_py()
    if values is None:
        return
    kinds = {pa.int64(): "int64_list", pa.float32(): "float_list", pa.binary(): "bytes_list"}
    target = getattr(feature, kinds[array.type.value_type])
    target.SetInParent()
    target.value.extend(values)


@pytest.mark.needs("tfx_bsl")
def test_tfx_bsl_decodes_what_is_encoded():
    from tfx_bsl.coders.example_coder import ExamplesToRecordBatchDecoder

    batch = batch_of(i=pa.array([[1], None, [], [-7, 300]]), s=pa.array(["a", "", None, "ü"]))
    decoded = ExamplesToRecordBatchDecoder().DecodeBatch(examples.encode(batch))
    assert sorted(decoded.to_pydict().items()) == [
        ("i", [[1], None, [], [-7, 300]]),
        ("s", [[b"a"], [b""], None, ["ü".encode()]]),
    ]


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (pa.array([True, False]), [("int64_list", [1]), ("int64_list", [0])]),
        (pa.array([3], pa.uint8()), [("int64_list", [3])]),
        (pa.array([0.5], pa.float64()), [("float_list", [0.5])]),
        (pa.array([0.5]).cast(pa.float32()), [("float_list", [0.5])]),
        (pa.array(["a"]).dictionary_encode(), [("bytes_list", [b"a"])]),
        (pa.array([b"ab"], pa.binary(2)), [("bytes_list", [b"ab"])]),
        (pa.array([decimal.Decimal("1.5")]), [("float_list", [1.5])]),
        (pa.array([datetime.date(2020, 1, 2)]), [("bytes_list", [b"2020-01-02"])]),
        (
            pa.array([datetime.datetime(2020, 1, 2, 3, 4, 5)]),
            [("bytes_list", [b"2020-01-02T03:04:05"])],
        ),
        (pa.array([[1, None, 2], [None]]), [("int64_list", [1, 2]), ("int64_list", [])]),
        (pa.array([["a", None]]), [("bytes_list", [b"a"])]),
        (pa.array([[1, 2]], pa.list_(pa.int32(), 2)), [("int64_list", [1, 2])]),
        (pa.nulls(1), [(None, [])]),
    ],
)
def test_arrow_types_become_features(array, expected):
    assert only(array) == expected


def test_a_null_is_no_value_or_an_empty_list():
    array = pa.array([1, None])
    assert only(array)[1] == (None, [])
    assert only(array, null_as_empty=True)[1] == ("int64_list", [])


def test_slices_of_batches_are_encoded_alone():
    batch = batch_of(x=pa.array([[1], [2, 3], None, [4]]), y=pa.array(["a", "b", "c", "d"]))
    assert examples.encode(batch.slice(1, 2)) == examples.encode(batch)[1:3]


@pytest.mark.parametrize("kind", [pa.list_(pa.int64()), pa.list_(pa.int64(), 2)])
def test_what_lies_below_a_null_is_not_written(kind):
    array = pa.array([[1, 2], [3, 4], [5, 6]], kind)
    mask = pa.array([True, False, True]).buffers()[1]
    buffers = [mask, *array.buffers()[1:2]] if not pa.types.is_fixed_size_list(kind) else [mask]
    nulled = pa.Array.from_buffers(kind, 3, buffers, children=[array.values])
    assert only(nulled) == [("int64_list", [1, 2]), (None, []), ("int64_list", [5, 6])]
    assert only(nulled.slice(1)) == only(nulled)[1:]


def test_a_feature_is_encoded_as_it_is_in_its_example():
    message = example_class().FromString(examples.encode(batch_of(x=pa.array(["abc"])))[0])
    expected = message.features.feature["x"].SerializeToString(deterministic=True)
    assert examples.encode_feature(batch_of(x=pa.array(["abc"])), "x") == [expected]


def test_a_type_without_a_place_is_named():
    with pytest.raises(DataError, match=r"struct<a: int64> has no place .*column x"):
        examples.encode(batch_of(x=pa.array([{"a": 1}])))


def test_integers_beyond_64_bits_are_refused():
    with pytest.raises(DataError, match=r"beyond 64-bit integers.*column x"):
        examples.encode(batch_of(x=pa.array([1 << 63], pa.uint64())))


@pytest.mark.parametrize(
    ("texts", "kind", "expected"),
    [
        (["12345678901", "-1", None], pa.decimal128(20, 0), [12345678901, -1, None]),
        (["12300", "-100"], pa.decimal128(5, -2), [12300, -100]),
        (["7"], pa.decimal256(60, 0), [7]),
    ],
)
def test_decimals_without_a_fraction_become_integers(texts, kind, expected):
    values = [None if text is None else decimal.Decimal(text) for text in texts]
    found = only(pa.array(values, kind))
    assert found == [(None, []) if v is None else ("int64_list", [v]) for v in expected]


@given(st.decimals(-9999, 9999, places=2))
def test_decimals_whose_digits_a_float_has_become_floats(value):
    ((kind, found),) = only(pa.array([value], pa.decimal128(38, 18)))
    assert kind == "float_list"
    assert found == [pytest.approx(float(value), rel=1e-7)]


def test_a_decimal_with_more_digits_than_a_float_is_refused_with_advice():
    array = pa.array([decimal.Decimal("1.50"), decimal.Decimal("12345678.91")])
    with pytest.raises(DataError, match=r"12345678\.91 of decimal128\(10, 2\).* is the nearest"):
        examples.encode(batch_of(x=array))
    with pytest.raises(DataError, match=r"column x.*make the column a double .* or text"):
        examples.encode(batch_of(x=array))


def test_a_decimal_beyond_64_bit_integers_is_refused():
    array = pa.array([decimal.Decimal(1 << 63)], pa.decimal128(20, 0))
    with pytest.raises(DataError, match=r"beyond 64-bit integers.*column x"):
        examples.encode(batch_of(x=array))
