import bisect
import hashlib
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from penstock import BeamOptions
from penstock.artifacts import Examples
from penstock.components import ImportExampleGen
from penstock.data import records, splits
from penstock.data.coding.example_proto import example_class, sequence_example_class
from penstock.data.ingestion import resolve_parameters
from penstock.data.payload import PayloadFormat
from penstock.data.splits import OutputConfig, SplitBuckets, SplitConfig
from penstock.errors import DataError, ParameterError

BEAM = BeamOptions(("--runner=DirectRunner",))


def example(index):
    message = example_class()()
    message.features.feature["id"].int64_list.value.append(index)
    message.features.feature["group"].bytes_list.value.append(b"%d" % (index % 7))
    message.features.feature["share"].float_list.value.append(index / 2)
    return message


@pytest.fixture
def data(tmp_path):
    """A folder with one plain and one gzip file of 100 examples each."""
    folder = str(tmp_path / "data")
    for name, first, suffix in (("a", 0, ""), ("b", 100, ".gz")):
        written = [example(index).SerializeToString() for index in range(first, first + 100)]
        records.write_serialized(folder, name, written, suffix=suffix)
    return folder


def run(folder, data, **parameters):
    examples = Examples()
    examples.uri = str(folder)
    resolved = resolve_parameters({"input_base": data})
    ImportExampleGen.function(examples=examples, input_base=data, **parameters, **resolved)
    return examples


def read(examples, split):
    return list(records.read_serialized(splits.split_files(examples, split)))


def by(feature):
    config = SplitConfig((SplitBuckets("train", 2), SplitBuckets("eval", 1)), feature)
    return OutputConfig(config)


def tfx_split(key):
    """The split of a key by TFX's rule for train and eval, two to one."""
    return ("train", "eval")[bisect.bisect([2, 3], int(hashlib.sha256(key).hexdigest(), 16) % 3)]


def test_every_record_is_in_the_split_of_its_deterministic_bytes(data, tmp_path):
    examples = run(tmp_path / "examples", data)
    expected = {"train": [], "eval": []}
    for index in range(200):
        key = example(index).SerializeToString(deterministic=True)
        expected[tfx_split(key)].append(key)
    assert {split: read(examples, split) for split in expected} == expected


def test_records_are_partitioned_by_the_bytes_of_a_feature(data, tmp_path):
    examples = run(tmp_path / "examples", data, output_config=by("group"))
    for split in ("train", "eval"):
        for record in read(examples, split):
            feature = example_class().FromString(record).features.feature["group"]
            assert tfx_split(feature.SerializeToString(deterministic=True)) == split


def test_beam_writes_the_same_records_to_the_same_splits(data, tmp_path):
    ours, on_beam = run(tmp_path / "one", data), run(tmp_path / "other", data, beam=BEAM)
    for split in ("train", "eval"):
        assert sorted(read(on_beam, split)) == sorted(read(ours, split))


def test_a_record_that_is_no_example_is_reported(data, tmp_path):
    records.write_serialized(data, "c", [example(0).SerializeToString(), b"\xff\xff"])
    with pytest.raises(DataError, match=r"record 1: cannot be read as FORMAT_TF_EXAMPLE.*c-00000"):
        run(tmp_path / "examples", data)


@pytest.mark.parametrize(
    ("feature", "message"),
    [
        ("share", "record 0: expected bytes or integers in 'share'.*found a float_list"),
        ("grp", "record 0: a record has no feature 'grp'"),
    ],
)
def test_a_feature_that_cannot_partition_is_reported(data, tmp_path, feature, message):
    with pytest.raises(DataError, match=message):
        run(tmp_path / "examples", data, output_config=by(feature))


def test_any_records_are_imported_as_they_are(tmp_path):
    records.write_serialized(str(tmp_path / "data"), "a", [b"\xff%d" % i for i in range(20)])
    examples = run(
        tmp_path / "examples",
        str(tmp_path / "data"),
        output_data_format=PayloadFormat.FORMAT_PROTO,
    )
    assert examples.get_string_custom_property("payload_format") == "FORMAT_PROTO"
    found = read(examples, "train") + read(examples, "eval")
    assert sorted(found) == sorted(b"\xff%d" % i for i in range(20))


def test_records_without_features_are_not_partitioned_by_one(data, tmp_path):
    with pytest.raises(ParameterError, match="needs records with features, not FORMAT_PROTO"):
        run(
            tmp_path / "examples",
            data,
            output_config=by("id"),
            output_data_format=PayloadFormat.FORMAT_PROTO,
        )


def test_sequence_examples_are_partitioned_by_their_context(tmp_path):
    message = sequence_example_class()()
    message.context.feature["id"].int64_list.value.append(5)
    message.feature_lists.feature_list["x"].feature.add().float_list.value.append(0.5)
    records.write_serialized(str(tmp_path / "data"), "a", [message.SerializeToString()])
    examples = run(
        tmp_path / "examples",
        str(tmp_path / "data"),
        output_config=by("id"),
        output_data_format=PayloadFormat.FORMAT_TF_SEQUENCE_EXAMPLE,
    )
    split = tfx_split(message.context.feature["id"].SerializeToString(deterministic=True))
    assert read(examples, split) == [message.SerializeToString(deterministic=True)]


def test_parquet_is_imported_as_parquet(tmp_path):
    (tmp_path / "data").mkdir()
    pq.write_table(pa.table({"id": list(range(50))}), tmp_path / "data" / "a.parquet")
    examples = run(
        tmp_path / "examples",
        str(tmp_path / "data"),
        output_data_format=PayloadFormat.FORMAT_PARQUET,
    )
    assert examples.get_string_custom_property("file_format") == "parquet"
    files = [splits.split_files(examples, split)[0] for split in json.loads(examples.split_names)]
    ids = [value for file in files for value in pq.read_table(file)["id"].to_pylist()]
    assert sorted(ids) == list(range(50))
