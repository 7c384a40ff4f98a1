"""Rows of two data sets beside each other: what TFDV and TFX find of them, and what people read."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from penstock.artifacts import Examples, ExamplesDiff
from penstock.authoring.beam import BeamOptions
from penstock.components.example_diff import hashed, in_process
from penstock.components.example_diff.comparison import Comparison, described
from penstock.components.example_diff.component import ExampleDiff
from penstock.data.coding.example_proto import example_class
from penstock.data.records import write_serialized
from penstock.data.results import example_diffs
from penstock.errors import DataError, ParameterError

ROWS = 160
WORDS = [b"a", b"b", "日本".encode()]
TOWNS = [b"north", b"south"]


def serialized(**features):
    example = example_class()()
    for name, values in features.items():
        feature = example.features.feature[name]
        if values is None:
            feature.bytes_list.SetInParent()
        if not values:
            continue
        kind = {bytes: "bytes_list", int: "int64_list", float: "float_list"}[type(values[0])]
        getattr(feature, kind).value.extend(values)
    return example.SerializeToString(deterministic=True)


def rows(seed):
    """Return rows of which some lack features or identifiers, and some share identifiers."""
    random = np.random.default_rng(seed)
    found = []
    for number in range(ROWS):
        features = {
            "same": [number % 5],
            "fare": [round(number / 7 + float(random.choice([0, 1e-3, 1])), 5)],
            "words": [WORDS[random.integers(3)] for _ in range(2)],
            "town": [TOWNS[random.integers(2)]],
            "kind": [1.0] if seed else [1],
            "empty": None if random.random() < 0.5 else [b""],
            "maybe": None,
            "unset": [],
        }
        for name in ("words", "town", "maybe", "same", "unset"):
            if random.random() < 0.3:
                del features[name]
        if random.random() < 0.95:
            features["id"] = [f"{number - random.integers(2)}".encode()]
        if random.random() < 0.98:
            features["day"] = [number // 7 % 3]
        found.append(serialized(**features))
    return found


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The files of a baseline, and those of others."""
    folders = [tmp_path_factory.mktemp(name) for name in ("baseline", "others")]
    for seed, folder in enumerate(folders):
        for part in range(2):
            (folder / str(part)).mkdir()
            write_serialized(str(folder / str(part)), "data_tfrecord", rows(seed)[part::2])
    return [sorted(str(f) for f in folder.rglob("*.gz")) for folder in folders]


def plain(messages):
    return sorted(str(message) for message in messages)


@pytest.mark.needs("tensorflow_data_validation")
@pytest.mark.parametrize(
    "comparison",
    [
        Comparison(("id",)),
        Comparison(("id", "day"), frozenset({"same"}), 2, True, confusion=("town",)),
        Comparison(("day",), duplicates=True, digits=0),
    ],
    ids=["one-identifier", "confusion-and-duplicates", "many-pairs"],
)
def test_counts_are_tfdvs(files, tmp_path, comparison):
    from penstock.components.example_diff import on_beam

    pairs = {"a_b": tuple(files)}
    in_process.compare(pairs, comparison, str(tmp_path / "ours"), BeamOptions(), lambda **_: None)
    on_beam.compare(pairs, comparison, str(tmp_path / "beams"), BeamOptions(), lambda **_: None)
    ours, beams = (example_diffs.read(str(tmp_path / who), "a_b") for who in ("ours", "beams"))
    assert ours.matches == beams.matches
    assert ours.matches.matching_pairs_count > 20
    assert ours.matches.duplicate_id_count
    assert plain(ours.skew) == plain(beams.skew)
    assert sum(skew.diff_count for skew in ours.skew)
    assert (ours.confusion is None) == (beams.confusion is None)
    assert plain(ours.confusion or ()) == plain(beams.confusion or ())


@pytest.mark.needs("tensorflow_data_validation")
def test_samples_are_pairs_that_differ_and_say_in_what_as_tfdv_does(files):
    from tensorflow.core.example.example_pb2 import Example
    from tensorflow_data_validation.skew import feature_skew_detector as detector

    diff = in_process.difference(*files, Comparison(("id",), samples=25))
    assert len(diff.samples) == 25
    for sample in diff.samples:
        base, test = Example.FromString(sample.base), Example.FromString(sample.test)
        per_feature, differs = detector._compute_skew_for_examples(base, test, ["id"], None)
        assert differs
        expected = detector._construct_skew_pair(per_feature, base, test)
        for of_kind in ("matched", "base_only", "test_only", "mismatched"):
            names = getattr(expected, f"{of_kind}_features")
            assert sorted(names) == list(getattr(sample, f"{of_kind}_features"))


def test_the_same_data_has_the_same_samples(files):
    comparison = Comparison(("id",), samples=5)
    one, other = (in_process.difference(*files, comparison).samples for _ in range(2))
    assert one == other


def test_few_pairs_at_a_time_change_nothing(files, monkeypatch):
    comparison = Comparison(("day",), duplicates=True, confusion=("town",))
    whole = in_process.difference(*files, comparison)
    monkeypatch.setattr(in_process, "_PAIRS", 100)
    parted = in_process.difference(*files, comparison)
    assert (plain(parted.skew), parted.matches) == (plain(whole.skew), whole.matches)
    assert plain(parted.confusion) == plain(whole.confusion)


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ([b"ab", b"c"], [b"a", b"bc"], False),
        ([b"a", b"b"], [b"b", b"a"], False),
        ([1], [1.0], False),
        ([0.125], [0.1249], False),
        ([b""], [b"", b""], False),
        ([0.0], [-0.0], False),
        ([float("nan")], [float("nan")], True),
        ([-1, 2], [-1, 2], True),
    ],
)
def test_lists_are_alike_where_all_their_values_are(tmp_path, one, other, alike):
    files = []
    for name, values in (("one", one), ("other", other)):
        (tmp_path / name).mkdir()
        write_serialized(str(tmp_path / name), "data", [serialized(id=[1], value=values)])
        files.append([str(f) for f in (tmp_path / name).iterdir()])
    [skew] = in_process.difference(*files, Comparison(("id",))).skew
    assert (skew.match_count, skew.mismatch_count) == ((1, 0) if alike else (0, 1))


@pytest.mark.parametrize("digits", [0, 2])
def test_fractions_are_rounded_as_python_does(digits):
    values = [0.5, 1.5, 2.675, -0.125, 1e30, float("inf")]
    column = pa.array([[value] for value in values], pa.large_list(pa.float32()))
    rounded = [[round(value.as_py()[0], digits)] for value in column]
    expected = hashed.hashed_lists(pa.array(rounded, pa.large_list(pa.float32())), None)
    np.testing.assert_array_equal(hashed.hashed_lists(column, digits).hashes, expected.hashes)


def test_rows_of_parquet_files_are_sampled_as_examples(tmp_path):
    files = []
    for name, fares in (("one", [1.0, 2.0]), ("other", [1.0, 3.0])):
        lists = pa.table({"id": [[1], [2]], "fare": pa.array([[f] for f in fares])})
        path = tmp_path / f"{name}_parquet-00000-of-00001.parquet"
        pyarrow.parquet.write_table(lists, path)
        files.append([str(path)])
    diff = in_process.difference(*files, Comparison(("id",), samples=3))
    [sample] = diff.samples
    assert list(sample.mismatched_features) == ["fare"]
    assert example_class().FromString(sample.test).features.feature["fare"].float_list.value == [3]


def artifact(kind, uri, *splits):
    made = kind()
    made.uri = str(uri)
    if splits:
        made.split_names = json.dumps(splits)
    return made


@pytest.fixture
def examples(tmp_path):
    def make(name, seed, *splits):
        for split in splits:
            (tmp_path / name / f"Split-{split}").mkdir(parents=True)
            write_serialized(str(tmp_path / name / f"Split-{split}"), "data_tfrecord", rows(seed))
        return artifact(Examples, tmp_path / name, *splits)

    return make


def compared(examples, tmp_path, **parameters):
    diff = artifact(ExamplesDiff, tmp_path / "diff")
    ExampleDiff.function(
        examples=examples("others", 1, "serving"),
        baseline_examples=examples("baseline", 0, "train", "eval"),
        example_diff=diff,
        **{"identifier_features": ["id"], **parameters},
    )
    return sorted(folder.name for folder in Path(diff.uri).iterdir())


def test_all_pairs_of_splits_are_compared_and_told(examples, tmp_path, capsys):
    assert compared(examples, tmp_path) == ["SplitPair-serving_eval", "SplitPair-serving_train"]
    said = capsys.readouterr().out
    assert "serving_train: " in said
    assert "identifiers of several rows" in said
    assert "differ" in said


def test_the_pairs_that_are_named_are_compared(examples, tmp_path):
    pairs = [["serving", "eval"]]
    assert compared(examples, tmp_path, include_split_pairs=pairs) == ["SplitPair-serving_eval"]


@pytest.mark.parametrize(
    ("parameters", "error", "said"),
    [
        ({"identifier_features": []}, ParameterError, "expected identifier_features, got none"),
        ({"float_round_ndigits": -1}, ParameterError, "float_round_ndigits of 0 or more, got -1"),
        ({"skew_sample_size": -1}, ParameterError, "skew_sample_size of 0 or more, got -1"),
        (
            {"include_split_pairs": [["train", "eval"]]},
            ParameterError,
            r"include_split_pairs, got \['train', 'eval'\]: the examples have the splits "
            r"\['serving'\]",
        ),
        (
            {"confusion_features": ["words"]},
            DataError,
            "expected one text a row of the confusion feature 'words'",
        ),
    ],
)
def test_what_cannot_be_done_is_told(examples, tmp_path, parameters, error, said):
    with pytest.raises(error, match=said):
        compared(examples, tmp_path, **parameters)


def test_data_that_are_alike_are_told_to_be(files):
    diff = in_process.difference(files[0], files[0], Comparison(("id",)))
    assert "All features are alike." in described("a_b", diff)


@pytest.mark.needs("tfx.components")
def test_tfx_s_executor_and_the_one_for_it_find_the_same(tmp_path):
    import tfx
    from google.protobuf import json_format
    from tfx.components.example_diff import executor
    from tfx.proto import example_diff_pb2

    from penstock.components.example_diff import for_tfx

    testdata = Path(tfx.__file__).parent / "components" / "testdata" / "csv_example_gen"
    given = {
        "examples": [artifact(Examples, testdata, "train", "eval")],
        "baseline_examples": [artifact(Examples, testdata, "train", "eval")],
    }
    config = example_diff_pb2.ExampleDiffConfig()
    paired = config.paired_example_skew
    of_start = [f"trip_start_{part}" for part in ("month", "day", "hour")]
    paired.identifier_features.extend(["company", *of_start])
    paired.ignore_features.append("fare")
    paired.allow_duplicate_identifiers = True
    paired.confusion_config.add(feature_name="payment_type")
    read = {}
    for name, who, told in (
        ("theirs", executor.Executor(), config),
        (
            "ours",
            for_tfx.Executor(),
            json_format.MessageToJson(config, preserving_proto_field_name=True),
        ),
    ):
        output = artifact(ExamplesDiff, tmp_path / name)
        parameters = {
            "example_diff_config": told,
            "include_split_pairs": '[["train", "eval"]]',
        }
        who.Do(given, {"example_diff_result": [output]}, parameters)
        assert [folder.name for folder in Path(output.uri).iterdir()] == ["SplitPair-train_eval"]
        read[name] = example_diffs.read(output.uri, "train_eval")
    ours, theirs = read["ours"], read["theirs"]
    assert ours.matches == theirs.matches
    assert ours.matches.base_with_id_count > ours.matches.test_with_id_count
    assert ours.matches.matching_pairs_count
    assert plain(ours.skew) == plain(theirs.skew)
    assert plain(ours.confusion) == plain(theirs.confusion)
