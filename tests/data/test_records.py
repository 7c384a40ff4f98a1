import gzip
import importlib.util
import os
import struct

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.data import records
from penstock.data.coding import examples
from penstock.data.coding.example_proto import example_class
from penstock.errors import DataError

pytestmark = pytest.mark.core


def numbered(count):
    return [f"record {index}".encode() * (index % 7) for index in range(count)]


def rows(values):
    return pa.RecordBatch.from_arrays([pa.array(values)], ["x"])


def test_masked_crc_is_that_of_the_specification():
    # The check value of CRC-32C, 0xE3069283, rotated right by 15 bits, and 0xA282EAD8 added.
    assert records.masked_crc32c(b"123456789") == 0xC78AB0E5


def test_framing_is_tensorflow_s():
    # What tf.io.TFRecordWriter wrote for this record.
    written = b"\x03\x00\x00\x00\x00\x00\x00\x00\xb0\x99I\x0eabcnW\xf1!"
    assert records.frame_records([b"abc"]) == written


@settings(max_examples=30, deadline=None)
@given(st.lists(st.binary(max_size=200)), st.sampled_from([".gz", ""]), st.integers(1, 4))
def test_what_is_written_is_read(tmp_path_factory, written, suffix, shards):
    folder = str(tmp_path_factory.mktemp("records"))
    paths = records.write_serialized(folder, "data", written, shards=shards, suffix=suffix)
    assert records.record_files(folder) == paths
    assert sorted(records.read_serialized(paths)) == sorted(written)


def test_shards_are_named_as_in_tfx(tmp_path):
    paths = records.write_serialized(str(tmp_path), "data_tfrecord", [b"a"], shards=2)
    assert [path.rsplit("/", 1)[1] for path in paths] == [
        "data_tfrecord-00000-of-00002.gz",
        "data_tfrecord-00001-of-00002.gz",
    ]


def test_records_larger_than_a_chunk_are_read(tmp_path):
    large = np.random.default_rng(0).bytes(3_000_000)
    paths = records.write_serialized(str(tmp_path), "data", [b"a", large, b"", large[:7]])
    assert list(records.read_serialized(paths)) == [b"a", large, b"", large[:7]]


def test_the_same_records_give_the_same_file(tmp_path):
    first, second = (
        records.write_serialized(str(tmp_path / name), "data", numbered(50))[0] for name in "ab"
    )
    with open(first, "rb") as one, open(second, "rb") as other:
        assert one.read() == other.read()


def test_files_written_by_tfx_are_read():
    package = importlib.util.find_spec("tfx").submodule_search_locations[0]
    written = f"{package}/components/testdata/csv_example_gen"
    rows = 0
    for split in ("train", "eval"):
        files = records.record_files(f"{written}/Split-{split}")
        rows += sum(batch.num_rows for batch in records.read_record_batches(files))
    assert rows == 15_000


def test_gzip_files_of_several_members_are_read(tmp_path):
    path = tmp_path / "data.gz"
    parts = [gzip.compress(records.frame_records([record])) for record in (b"one", b"two")]
    path.write_bytes(b"".join(parts))
    assert list(records.read_serialized(str(path))) == [b"one", b"two"]


def test_a_flipped_bit_is_reported_with_record_and_offset(tmp_path):
    framed = bytearray(records.frame_records([b"aaaa", b"bbbb", b"cccc"]))
    framed[20 + 13] ^= 1
    path = tmp_path / "data"
    path.write_bytes(framed)
    with pytest.raises(DataError, match=r"checksum of the data of record 1, at byte 20 .*data\)"):
        list(records.read_serialized(str(path)))


def test_a_wrong_length_is_reported_before_what_it_asks_for(tmp_path):
    framed = bytearray(records.frame_records([b"aaaa", b"bbbb", b"cccc"]))
    framed[20 + 7] = 0xFF
    path = tmp_path / "data"
    path.write_bytes(framed)
    with pytest.raises(DataError, match="checksum of the length of record 1, at byte 20 of"):
        list(records.read_serialized(str(path)))


def test_of_two_errors_the_first_is_reported(tmp_path):
    framed = bytearray(records.frame_records([b"aaaa", b"bbbb", b"cccc"]))
    framed[20 + 13] ^= 1
    framed[40] ^= 1
    path = tmp_path / "data"
    path.write_bytes(framed)
    with pytest.raises(DataError, match="checksum of the data of record 1, at byte 20 of"):
        list(records.read_record_batches(str(path)))


def test_an_error_in_a_later_chunk_is_reported_with_record_and_offset(tmp_path):
    written = [np.random.default_rng(0).bytes(1000)] * 5000
    framed = bytearray(records.frame_records(written))
    framed[1016 * 4900 + 500] ^= 1
    path = tmp_path / "data"
    path.write_bytes(framed)
    with pytest.raises(DataError, match=f"data of record 4900, at byte {1016 * 4900} of"):
        list(records.read_serialized(str(path)))


def test_batches_have_rows_of_several_chunks(tmp_path):
    texts = [f"{row} " * 1000 for row in range(3000)]
    paths = records.write_serialized(str(tmp_path), "data", examples.encode(rows(texts)))
    batches = list(records.read_record_batches(paths, batch_rows=700))
    assert [batch.num_rows for batch in batches] == [700, 700, 700, 700, 200]
    read = [value[0].decode() for batch in batches for value in batch.column(0).to_pylist()]
    assert read == texts


def test_a_file_that_is_no_tfrecord_is_reported(tmp_path):
    path = tmp_path / "data.csv"
    path.write_text("a,b\n1,2\n3,4\n5,6\n")
    with pytest.raises(DataError, match="checksum of the length of record 0, at byte 0"):
        list(records.read_serialized(str(path)))


def test_a_truncated_file_is_reported_with_record_and_offset(tmp_path):
    path = tmp_path / "data"
    path.write_bytes(records.frame_records([b"aaaa", b"bbbb"])[:-3])
    with pytest.raises(DataError, match="truncated: record 1 starts at byte 20"):
        list(records.read_serialized(str(path)))


def test_a_record_that_is_said_to_be_longer_than_examples_are_is_refused_at_once(tmp_path):
    head = struct.pack("<Q", 2**45)
    path = tmp_path / "bomb.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(head + struct.pack("<I", records.masked_crc32c(head)))
        file.write(bytes(1 << 22))
    with pytest.raises(
        DataError, match="record 0, at byte 0 .* is said to be 35,184,372,088,832 b"
    ):
        list(records.read_serialized(str(path)))


def test_a_record_longer_than_many_chunks_is_read(tmp_path):
    long = os.urandom(9 << 20)
    paths = records.write_serialized(str(tmp_path), "data", [b"first", long, b"last"])
    assert list(records.read_serialized(paths)) == [b"first", long, b"last"]


def test_truncated_gzip_is_reported(tmp_path):
    path = tmp_path / "data.gz"
    noise = np.random.default_rng(0).bytes(5000)
    path.write_bytes(gzip.compress(records.frame_records([noise]))[:3000])
    with pytest.raises(DataError, match="gzip data are truncated"):
        list(records.read_serialized(str(path)))


def test_a_missing_file_is_reported(tmp_path):
    with pytest.raises(DataError, match=r"cannot read records: No such file .*none\.gz"):
        list(records.read_serialized(str(tmp_path / "none.gz")))


def test_an_empty_folder_has_no_records(tmp_path):
    (tmp_path / ".hidden").touch()
    with pytest.raises(DataError, match="found an empty folder"):
        records.record_files(str(tmp_path))


def test_batches_are_bounded(tmp_path):
    paths = records.write_serialized(str(tmp_path), "data", examples.encode(rows(range(25))))
    batches = records.read_record_batches(paths, batch_rows=10)
    assert [batch.num_rows for batch in batches] == [10, 10, 5]


def test_only_the_asked_columns_are_read(tmp_path):
    batch = pa.RecordBatch.from_arrays([pa.array([1]), pa.array([2.0])], ["x", "y"])
    paths = records.write_serialized(str(tmp_path), "data", examples.encode(batch))
    (read,) = records.read_record_batches(paths, columns=["y", "z"])
    assert read.to_pydict() == {"y": [[2.0]], "z": [None]}


@pytest.mark.parametrize("suffix", [".gz", ".parquet"])
def test_columns_that_a_file_lacks_can_be_left_out(tmp_path, suffix):
    from penstock.data.parquet import ParquetWriter

    batch = pa.RecordBatch.from_arrays([pa.array([1]), pa.array(["a"])], ["x", "y"])
    path = str(tmp_path / f"data{suffix}")
    if suffix == ".gz":
        with records.TFRecordWriter(path) as writer:
            writer.write_many(examples.encode(batch))
    else:
        with ParquetWriter(path, batch.schema) as writer:
            writer.write(batch)
    (read,) = records.read_record_batches([path], columns=["z", "y"], absent=False)
    assert read.to_pydict() == {"y": [[b"a"]]}


def test_a_schema_gives_the_types_of_features_that_are_missing(tmp_path):
    from tensorflow_metadata.proto.v0 import schema_pb2

    schema = schema_pb2.Schema()
    schema.feature.add(name="x", type=schema_pb2.INT)
    schema.feature.add(name="z", type=schema_pb2.FLOAT)
    paths = records.write_serialized(str(tmp_path), "data", examples.encode(rows([1])))
    (read,) = records.read_record_batches(paths, schema=schema)
    assert read.schema.types == [pa.large_list(pa.int64()), pa.large_list(pa.float32())]
    (pruned,) = records.read_record_batches(paths, schema=schema, columns=["z"])
    assert pruned.schema.names == ["z"]


def test_a_record_that_is_no_example_is_named(tmp_path):
    good = examples.encode(rows([1, 2]))
    paths = records.write_serialized(str(tmp_path), "data", [*good, b"\xff\xff", *good])
    with pytest.raises(DataError, match=r"record 2 cannot be read as a tf\.Example"):
        list(records.read_record_batches(paths))


def mixed(*values):
    """Examples with a number `x`, and a feature `y` of these values."""
    written = []
    for number, value in enumerate(values):
        message = example_class()()
        message.features.feature["x"].int64_list.value.append(number)
        kind = "float_list" if isinstance(value, float) else "int64_list"
        getattr(message.features.feature["y"], kind).value.append(value)
        written.append(message.SerializeToString(deterministic=True))
    return written


def test_a_feature_of_two_types_fails_those_alone_who_ask_for_it(tmp_path):
    paths = records.write_serialized(str(tmp_path), "data", mixed(1, 2.5))
    (batch,) = records.read_record_batches(paths, columns=["x"])
    assert batch.to_pydict() == {"x": [[0], [1]]}
    for columns in (["y"], None):
        with pytest.raises(DataError, match='record 1 .*for feature "y"|records 0 to 1 .* "y"'):
            list(records.read_record_batches(paths, columns=columns))
