import bisect
import hashlib
import json
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.authoring.values import convert
from penstock.data import splits
from penstock.data.splits import (
    InputConfig,
    InputSplit,
    OutputConfig,
    SplitBuckets,
    SplitConfig,
)
from penstock.errors import DataError, ParameterError

pytestmark = pytest.mark.core


def output(*named, feature=None):
    return OutputConfig(SplitConfig(tuple(SplitBuckets(*one) for one in named), feature))


def artifact(uri, names, patterns=""):
    return SimpleNamespace(
        uri=str(uri),
        split_names=json.dumps(names),
        get_string_custom_property=lambda key: patterns if key == "custom_split_pattern" else "",
    )


@given(
    st.lists(st.binary(), max_size=30, unique=True),
    st.lists(st.integers(1, 50), min_size=1, max_size=4) | st.just([70_000, 1]),
)
def test_records_are_distributed_by_the_rule_of_tfx(items, sizes):
    config = SplitConfig(tuple(SplitBuckets(str(i), size) for i, size in enumerate(sizes)))
    buckets = splits.cumulated_buckets(config)
    parts = splits.partition(items, items, buckets)
    for item in items:
        number = int(hashlib.sha256(item).hexdigest(), 16) % buckets[-1]
        assert item in parts[bisect.bisect(buckets, number)]
        assert splits.split_index(item, buckets) == bisect.bisect(buckets, number)


def test_one_input_split_becomes_train_and_eval_by_default():
    config = splits.output_config_or_default(InputConfig(), None)
    assert splits.output_split_names(InputConfig(), config) == ["train", "eval"]
    assert splits.cumulated_buckets(config.split_config) == [2, 3]


def test_several_input_splits_are_kept_by_default():
    inputs = InputConfig((InputSplit("a", "a*"), InputSplit("b", "b*")))
    config = splits.output_config_or_default(inputs, None)
    assert splits.output_split_names(inputs, config) == ["a", "b"]


def test_output_splits_need_exactly_one_input_split():
    inputs = InputConfig((InputSplit("a", "a*"), InputSplit("b", "b*")))
    with pytest.raises(ParameterError, match=r"exactly one split; it has 2 \(a, b\)"):
        splits.output_split_names(inputs, output(("train", 1)))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (output(("train", 0)), r"splits\[0\] needs a name and hash_buckets of at least 1"),
        (output(("", 1)), r"splits\[0\] needs a name"),
        (output(("a", 1), ("a", 1)), "names 'a' twice"),
    ],
)
def test_wrong_output_splits_are_refused(config, message):
    with pytest.raises(ParameterError, match=message):
        splits.output_split_names(InputConfig(), config)


@pytest.mark.needs("tfx.components")
def test_tfx_messages_are_converted_by_their_names():
    from tfx.proto import example_gen_pb2

    message = example_gen_pb2.Output(
        split_config=example_gen_pb2.SplitConfig(
            splits=[example_gen_pb2.SplitConfig.Split(name="train", hash_buckets=9)],
            partition_feature_name="user",
        )
    )
    assert convert(message, OutputConfig, "x") == output(("train", 9), feature="user")
    message = example_gen_pb2.Input(splits=[example_gen_pb2.Input.Split(name="a", pattern="a/*")])
    assert convert(message, InputConfig, "x") == InputConfig((InputSplit("a", "a/*"),))


def test_files_of_a_split_are_found(tmp_path):
    folder = tmp_path / "Split-train"
    folder.mkdir()
    (folder / "data-0.gz").touch()
    assert splits.split_files(artifact(tmp_path, ["train"]), "train") == [str(folder / "data-0.gz")]


def test_files_of_a_custom_split_pattern_are_found(tmp_path):
    (tmp_path / "train-0.gz").touch()
    custom = artifact(tmp_path, ["train"], '{"train": "train-*"}')
    assert splits.split_files(custom, "train") == [str(tmp_path / "train-0.gz")]


def test_an_unknown_split_is_answered_with_the_nearest(tmp_path):
    with pytest.raises(DataError, match=r"no split 'trian' .* Did you mean 'train'\?"):
        splits.split_files(artifact(tmp_path, ["train", "eval"]), "trian")


@pytest.mark.parametrize(
    ("written", "lacking"),
    [
        ([], "all files"),
        (["data_tfrecord-00001-of-00002.gz"], r"data_tfrecord-00000-of-00002\.gz"),
    ],
)
def test_a_split_that_an_engine_has_not_written_is_refused(tmp_path, written, lacking):
    for split, names in (("train", ["data_tfrecord-00000-of-00001.gz"]), ("eval", written)):
        folder = tmp_path / f"Split-{split}"
        folder.mkdir()
        for name in names:
            (folder / name).touch()
    with pytest.raises(DataError, match=f"split 'eval' .* lacks {lacking}"):
        splits.check_written(str(tmp_path), ["train", "eval"])
    splits.check_written(str(tmp_path), ["train"])
