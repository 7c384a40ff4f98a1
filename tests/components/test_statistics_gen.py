"""Statistics are TFDV's, whichever engine computes them."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2

from penstock._tfx import channel as tfx_channel
from penstock.artifacts import Examples, ExampleStatistics, Schema
from penstock.authoring.beam import BeamOptions
from penstock.components.schema_gen.schema_file import write_schema
from penstock.components.statistics_gen.component import StatisticsGen
from penstock.components.statistics_gen.options import statistics_options
from penstock.components.statistics_gen.sampling import sample_rates
from penstock.data.records import record_files, write_serialized
from penstock.data.results.statistics import example_count, read_statistics
from penstock.errors import DataError, ParameterError

TESTDATA = (
    Path(importlib.util.find_spec("tfx").submodule_search_locations[0]) / "components/testdata"
)
# TFDV's default `epsilon`: how far the rank of an approximate quantile may be off.
EPSILON = 0.01


def encode(columns: dict[str, list[object]]) -> list[bytes]:
    """Encode columns of lists (None where an example lacks the feature) as tf.Examples."""
    from tfx_bsl.coders.example_coder import RecordBatchToExamplesEncoder

    # A tf.Example has floats of 32 bits only.
    narrow = {pa.list_(pa.float64()): pa.list_(pa.float32())}
    arrays = {name: pa.array(rows) for name, rows in columns.items()}
    batch = pa.RecordBatch.from_pydict(
        {name: array.cast(narrow.get(array.type, array.type)) for name, array in arrays.items()}
    )
    return RecordBatchToExamplesEncoder().encode(batch)


def generated_rows(count: int) -> dict[str, list[object]]:
    """Rows with missing values, several values, unicode, bytes that are no text, and categories."""
    words = ["", "naïve", "日本語", "🚕", "a,b", "x" * 300]
    return {
        "word": [None if row % 7 == 0 else [words[row % 6].encode()] for row in range(count)],
        "identifier": [[f"id-{row}".encode()] for row in range(count)],
        "not_text": [[b"\xff\xfe", b"ok"][: row % 3] for row in range(count)],
        "fare": [None if row % 5 == 0 else [row / 3 - 100] for row in range(count)],
        "zone": [[row % 4] for row in range(count)],
        "weight": [[1.0 + row % 2] for row in range(count)],
        "always_missing": [None if row else [1] for row in range(count)],
    }


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """The files of three splits: TFX's taxi examples, generated rows, and none."""
    directory = tmp_path_factory.mktemp("examples")
    generated = directory / "Split-generated"
    write_serialized(str(generated), "data_tfrecord", encode(generated_rows(30_000)), shards=2)
    empty = directory / "Split-empty"
    write_serialized(str(empty), "data_tfrecord", [])
    return {
        "taxi": record_files(str(TESTDATA / "csv_example_gen/Split-train")),
        "generated": record_files(str(generated)),
        "empty": record_files(str(empty)),
        "no_files": [],
    }


@pytest.fixture(scope="module")
def schema() -> schema_pb2.Schema:
    """A schema that declares a category and a weight."""
    schema = schema_pb2.Schema()
    schema.feature.add(name="word", type=schema_pb2.BYTES)
    zone = schema.feature.add(name="zone", type=schema_pb2.INT)
    zone.int_domain.is_categorical = True
    return schema


@pytest.fixture(scope="module")
def options_json() -> str:
    """Options by the names of the constructor's arguments."""
    return json.dumps({"weight_feature": "weight", "num_top_values": 7})


@pytest.fixture(scope="module")
def in_process(
    examples: dict[str, list[str]], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, statistics_pb2.DatasetFeatureStatistics]:
    """Every split's statistics, without Beam."""
    from penstock.components.statistics_gen import in_process

    directory = str(tmp_path_factory.mktemp("in_process"))
    in_process.generate_statistics(examples, directory)
    return loaded(directory, examples)


@pytest.fixture(scope="module")
def on_beam(
    examples: dict[str, list[str]], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, statistics_pb2.DatasetFeatureStatistics]:
    """Every split's statistics, by a Beam runner."""
    from penstock.components.statistics_gen import on_beam

    directory = str(tmp_path_factory.mktemp("on_beam"))
    on_beam.generate_statistics(examples, directory, beam=BeamOptions(("--runner=DirectRunner",)))
    return loaded(directory, examples)


@pytest.fixture(scope="module")
def weighted(
    examples: dict[str, list[str]],
    schema: schema_pb2.Schema,
    options_json: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> list[statistics_pb2.DatasetFeatureStatistics]:
    """The generated rows' statistics with weights and a schema, in process and on Beam."""
    results = []
    for options in (BeamOptions(), BeamOptions(("--runner=DirectRunner",))):
        directory = str(tmp_path_factory.mktemp("weighted"))
        options.engine("penstock.components.statistics_gen").generate_statistics(
            {"generated": examples["generated"]},
            directory,
            schema=schema,
            stats_options_json=options_json,
            beam=options,
        )
        results.append(loaded(directory, ["generated"])["generated"])
    return results


def loaded(directory: str, splits) -> dict[str, statistics_pb2.DatasetFeatureStatistics]:
    """Read what an engine wrote."""
    return {
        split: read_statistics(os.path.join(directory, f"Split-{split}")).datasets[0]
        for split in splits
    }


def features_of(dataset: statistics_pb2.DatasetFeatureStatistics) -> dict[str, object]:
    """Return a data set's features by name."""
    return {".".join(feature.path.step): feature for feature in dataset.features}


def without_quantiles(feature: statistics_pb2.FeatureNameStatistics) -> object:
    """Drop what is approximate, and round what depends on the order of additions."""
    exact = statistics_pb2.FeatureNameStatistics()
    exact.CopyFrom(feature)
    if exact.HasField("num_stats"):
        numbers = exact.num_stats
        # The median is a quantile too, and equal-width buckets are counted from quantiles.
        numbers.ClearField("median")
        numbers.ClearField("histograms")
        numbers.weighted_numeric_stats.ClearField("median")
        numbers.weighted_numeric_stats.ClearField("histograms")
        for part in (numbers, numbers.weighted_numeric_stats):
            part.mean = float(f"{part.mean:.9g}")
            part.std_dev = float(f"{part.std_dev:.9g}")
    common = (
        exact.num_stats.common_stats
        if exact.HasField("num_stats")
        else exact.string_stats.common_stats
    )
    common.ClearField("num_values_histogram")
    if exact.HasField("string_stats"):
        exact.string_stats.avg_length = float(f"{exact.string_stats.avg_length:.6g}")
    return exact


def assert_same_statistics(one, other) -> None:
    """Assert that two data sets' statistics are equal but for quantiles."""
    assert one.num_examples == other.num_examples
    assert features_of(one).keys() == features_of(other).keys()
    for name, feature in features_of(one).items():
        assert without_quantiles(feature) == without_quantiles(features_of(other)[name]), name


@pytest.mark.parametrize("split", ["taxi", "generated"])
def test_both_engines_agree_on_all_that_is_exact(in_process, on_beam, split) -> None:
    assert_same_statistics(in_process[split], on_beam[split])


def test_both_engines_agree_with_weights_and_a_schema(weighted) -> None:
    assert_same_statistics(*weighted)


def test_weights_and_categories_reach_the_statistics(weighted) -> None:
    zone = features_of(weighted[0])["zone"]
    assert zone.string_stats.unique == 4
    assert zone.string_stats.weighted_string_stats.top_values[0].frequency == 15_000


def test_quantiles_are_within_tfdvs_error_of_the_rows(in_process) -> None:
    values = sorted(np.float32(row[0]) for row in generated_rows(30_000)["fare"] if row)
    (quantiles,) = (
        histogram
        for histogram in features_of(in_process["generated"])["fare"].num_stats.histograms
        if histogram.type == statistics_pb2.Histogram.QUANTILES
    )
    for step, bucket in enumerate(quantiles.buckets, start=1):
        rank = sum(value <= bucket.high_value for value in values) / len(values)
        assert abs(rank - step / len(quantiles.buckets)) <= 2 * EPSILON


def test_quantiles_of_both_engines_are_near_each_other_where_sketches_are_full(tmp_path):
    values = np.random.default_rng(0).lognormal(3, 1, 250_000).astype(np.float32)
    files = []
    for number, part in enumerate(np.array_split(values, 4)):
        files.append(str(tmp_path / f"data_parquet-{number:05d}-of-00004.parquet"))
        pq.write_table(pa.table({"fare": part}), files[-1])
    ordered = np.sort(values)
    ranks = []
    for options in (BeamOptions(), BeamOptions(("--runner=DirectRunner",))):
        folder = str(tmp_path / str(len(ranks)))
        options.engine("penstock.components.statistics_gen").generate_statistics(
            {"train": files}, folder, beam=options
        )
        numbers = features_of(loaded(folder, ["train"])["train"])["fare"].num_stats
        edges = [
            bucket.high_value
            for histogram in numbers.histograms
            if histogram.type == statistics_pb2.Histogram.QUANTILES
            for bucket in histogram.buckets
        ]
        ranks.append(np.searchsorted(ordered, [numbers.median, *edges]) / len(ordered))
    assert np.abs(ranks[0] - ranks[1]).max() <= 2 * EPSILON


def test_distinct_values_are_counted_exactly_beyond_the_size_of_a_sketch(in_process) -> None:
    assert features_of(in_process["generated"])["identifier"].string_stats.unique == 30_000


def test_missing_values_are_counted(in_process) -> None:
    fare = features_of(in_process["generated"])["fare"].num_stats.common_stats
    assert (fare.num_missing, fare.num_non_missing) == (6_000, 24_000)


def test_bytes_that_are_not_text_are_called_so(in_process) -> None:
    values = features_of(in_process["generated"])["not_text"].string_stats.top_values
    assert [value.value for value in values] == ["__BYTES_VALUE__", "ok"]


@pytest.mark.parametrize("split", ["empty", "no_files"])
def test_a_split_without_examples_has_statistics_of_zero_examples(
    in_process, on_beam, split
) -> None:
    assert in_process[split] == on_beam[split] == statistics_pb2.DatasetFeatureStatistics()


def test_tfdv_reads_the_file(examples, tmp_path) -> None:
    import tensorflow_data_validation as tfdv

    from penstock.components.statistics_gen import in_process

    in_process.generate_statistics({"taxi": examples["taxi"]}, str(tmp_path))
    statistics = tfdv.load_stats_binary(str(tmp_path / "Split-taxi" / "FeatureStats.pb"))
    assert example_count(statistics) == 9_909


def test_a_sample_is_drawn_by_row_and_is_the_same_every_time(examples, tmp_path) -> None:
    from penstock.components.statistics_gen import in_process

    counts = []
    for name in ("one", "two"):
        in_process.generate_statistics(
            {"generated": examples["generated"]},
            str(tmp_path / name),
            sample_rate_by_split={"generated": 0.1},
        )
        counts.append(loaded(str(tmp_path / name), ["generated"])["generated"].num_examples)
    assert counts[0] == counts[1]
    assert 2_700 < counts[0] < 3_300


def test_beam_samples_by_row_too(examples, tmp_path) -> None:
    from penstock.components.statistics_gen import on_beam

    on_beam.generate_statistics(
        {"generated": examples["generated"]},
        str(tmp_path),
        stats_options_json='{"sample_rate": 0.1}',
        beam=BeamOptions(("--runner=DirectRunner",)),
    )
    assert 2_700 < loaded(str(tmp_path), ["generated"])["generated"].num_examples < 3_300


def test_slices_follow_the_whole_data_set(examples, tmp_path) -> None:
    import tensorflow_data_validation as tfdv
    from google.protobuf import text_format
    from tfx_bsl.public.proto import slicing_spec_pb2

    from penstock.components.statistics_gen import in_process

    slicing = text_format.Parse(
        "slicing_specs { feature_keys: 'zone' }", slicing_spec_pb2.SlicingConfig()
    )
    options = tfdv.StatsOptions(slicing_config=slicing).to_json()
    in_process.generate_statistics(
        {"generated": examples["generated"]}, str(tmp_path), stats_options_json=options
    )
    datasets = read_statistics(str(tmp_path / "Split-generated")).datasets
    assert {dataset.name: dataset.num_examples for dataset in datasets} == {
        "All Examples": 30_000,
        **{f"zone_{zone}": 7_500 for zone in range(4)},
    }


def test_an_allowlist_leaves_out_other_features(examples, tmp_path) -> None:
    from penstock.components.statistics_gen import in_process

    in_process.generate_statistics(
        {"taxi": examples["taxi"]},
        str(tmp_path),
        stats_options_json='{"feature_allowlist": ["fare", "tips"]}',
    )
    assert sorted(features_of(loaded(str(tmp_path), ["taxi"])["taxi"])) == ["fare", "tips"]


def test_lift_runs_on_beam_because_memory_cannot(examples, tmp_path, schema, capsys) -> None:
    from penstock.components.statistics_gen import in_process

    in_process.generate_statistics(
        {"generated": examples["generated"]},
        str(tmp_path),
        schema=schema,
        stats_options_json='{"label_feature": "zone", "feature_allowlist": ["word", "zone"]}',
    )
    assert "label_feature 'zone'" in capsys.readouterr().out
    word = features_of(loaded(str(tmp_path), ["generated"])["generated"])["word"]
    assert any("Lift" in custom.name for custom in word.custom_stats)


def test_progress_counts_the_rows_of_all_splits(examples, tmp_path) -> None:
    from penstock.components.statistics_gen import in_process

    seen = []
    in_process.generate_statistics(examples, str(tmp_path), progress=lambda rows: seen.append(rows))
    assert seen == sorted(seen)
    assert seen[-1] == 39_909


def test_sequence_examples_have_their_sequence_features(tmp_path) -> None:
    from penstock.components.statistics_gen import in_process

    files = record_files(str(TESTDATA / "tfrecord_sequence/Split-train"))
    in_process.generate_statistics(
        {"train": files}, str(tmp_path), payload_format="FORMAT_TF_SEQUENCE_EXAMPLE"
    )
    names = features_of(loaded(str(tmp_path), ["train"])["train"])
    assert any(name.startswith("##SEQUENCE##") for name in names)


def test_values_beyond_memory_are_counted_approximately(examples, tmp_path, monkeypatch) -> None:
    from penstock.components.statistics_gen import in_process, value_counts

    monkeypatch.setattr(value_counts, "EXACT_BYTES", 100_000)
    monkeypatch.setattr(value_counts, "_MERGE_ROWS", 1_000)
    in_process.generate_statistics({"generated": examples["generated"]}, str(tmp_path))
    features = features_of(loaded(str(tmp_path), ["generated"])["generated"])
    assert features["identifier"].string_stats.unique == pytest.approx(30_000, rel=0.03)
    assert features["word"].string_stats.unique == 6


def test_sketches_keep_the_most_frequent_values(monkeypatch, caplog) -> None:
    from penstock.components.statistics_gen import in_process, value_counts

    monkeypatch.setattr(value_counts, "EXACT_BYTES", 1_000)
    monkeypatch.setattr(value_counts, "_MERGE_ROWS", 1_000)
    values = [["often"] if row % 4 == 0 else [f"value {row}"] for row in range(10_000)]
    batches = [
        pa.RecordBatch.from_arrays(
            [pa.array(values[start : start + 1_000]), pa.array([[2.0]] * 1_000)],
            ["value", "weight"],
        )
        for start in range(0, 10_000, 1_000)
    ]
    statistics = in_process.statistics_of_batches(
        batches, statistics_options('{"weight_feature": "weight"}')
    )
    value = features_of(statistics.datasets[0])["value"].string_stats
    assert value.top_values[0].value == "often"
    assert value.top_values[0].frequency == 2_500
    assert value.weighted_string_stats.top_values[0].frequency == 5_000
    assert "feature value need more than" in caplog.text


def test_statistics_of_parquet_are_those_of_the_same_rows(tmp_path, on_beam, in_process) -> None:
    import pyarrow.parquet

    from penstock.components.statistics_gen import in_process as engine
    from penstock.components.statistics_gen import on_beam as beam_engine

    rows = {name: values[:500] for name, values in generated_rows(500).items()}
    del rows["always_missing"]
    path = str(tmp_path / "data_parquet-00000-of-00001.parquet")
    pyarrow.parquet.write_table(pa.table(rows), path)
    write_serialized(str(tmp_path / "records"), "data_tfrecord", encode(rows))
    records = record_files(str(tmp_path / "records"))
    engine.generate_statistics({"records": records, "parquet": [path]}, str(tmp_path / "out"))
    found = loaded(str(tmp_path / "out"), ["records", "parquet"])
    beam_engine.generate_statistics({"parquet": [path]}, str(tmp_path / "beam"))
    assert_same_statistics(found["records"], found["parquet"])
    assert_same_statistics(found["parquet"], loaded(str(tmp_path / "beam"), ["parquet"])["parquet"])


@pytest.mark.parametrize("engine", ["in_process", "on_beam"])
def test_a_payload_without_features_is_refused(engine, tmp_path) -> None:
    module = importlib.import_module(f"penstock.components.statistics_gen.{engine}")
    with pytest.raises(DataError, match="but it is FORMAT_PROTO"):
        module.generate_statistics({}, str(tmp_path), payload_format="FORMAT_PROTO")


@pytest.fixture
def taxi_artifact() -> Examples:
    """TFX's taxi examples."""
    artifact = Examples()
    artifact.uri, artifact.split_names = str(TESTDATA / "csv_example_gen"), '["train", "eval"]'
    artifact.span = 7
    return artifact


def test_the_artifact_has_tfxs_properties(taxi_artifact, tmp_path) -> None:
    statistics = ExampleStatistics()
    statistics.uri = str(tmp_path)
    StatisticsGen.function(
        examples=taxi_artifact,
        statistics=statistics,
        exclude_splits=["train"],
        sample_rate_by_split={"eval": 0.5},
    )
    assert (statistics.split_names, statistics.span) == ('["eval"]', 7)
    rates = statistics.get_json_value_custom_property("sample_rate_by_split")
    assert json.loads(rates) == {"eval": 0.5}
    assert not (tmp_path / "Split-train").exists()


def test_a_schema_reaches_the_statistics(taxi_artifact, tmp_path) -> None:
    schema, statistics = Schema(), ExampleStatistics()
    schema.uri, statistics.uri = str(tmp_path / "schema"), str(tmp_path / "statistics")
    payment = schema_pb2.Feature(name="payment_type", type=schema_pb2.BYTES)
    payment.image_domain.SetInParent()
    write_schema(schema_pb2.Schema(feature=[payment]), schema.uri)
    StatisticsGen.function(
        examples=taxi_artifact, statistics=statistics, schema=schema, exclude_splits=["train"]
    )
    found = features_of(loaded(statistics.uri, ["eval"])["eval"])["payment_type"]
    assert found.type == statistics_pb2.FeatureNameStatistics.BYTES


def test_the_component_says_when_no_split_is_left(taxi_artifact) -> None:
    with pytest.raises(DataError, match="Take a split off exclude_splits"):
        StatisticsGen.function(
            examples=taxi_artifact,
            statistics=ExampleStatistics(),
            exclude_splits=["train", "eval"],
        )


def test_a_component_is_wired_like_tfxs() -> None:
    channel = tfx_channel.Channel(type=Examples)
    node = StatisticsGen(examples=channel, exclude_splits=["eval"]).with_id("statistics")
    assert node.outputs["statistics"].type_name == "ExampleStatistics"
    assert set(node.inputs) == {"examples"}


def test_an_unknown_option_is_named_with_the_nearest_one() -> None:
    with pytest.raises(ParameterError, match=r"'num_top_value'.*Did you mean 'num_top_values'"):
        statistics_options('{"num_top_value": 3}')


def test_options_that_are_not_json_are_refused() -> None:
    with pytest.raises(ParameterError, match="stats_options_json to be JSON"):
        statistics_options("num_top_values=3")


def test_options_of_tfdv_come_through_whole() -> None:
    import tensorflow_data_validation as tfdv

    given = tfdv.StatsOptions(num_top_values=3, epsilon=0.2, label_feature="tips").to_json()
    assert json.loads(statistics_options(given).to_json()) == json.loads(given)


def test_two_schemas_are_one_too_many() -> None:
    import tensorflow_data_validation as tfdv

    given = tfdv.StatsOptions(schema=schema_pb2.Schema()).to_json()
    with pytest.raises(ParameterError, match="expected one schema"):
        statistics_options(given, schema_pb2.Schema())


def test_a_splits_own_rate_comes_first() -> None:
    rates = sample_rates(["train", "eval"], '{"sample_rate": 0.5}', 0.2, {"eval": 1.0})
    assert rates == {"train": 0.2, "eval": 1.0}


def test_the_options_rate_is_used_where_no_other_is() -> None:
    assert sample_rates(["train"], '{"_sample_rate": 0.5}') == {"train": 0.5}


@pytest.mark.parametrize("rate", [0.0, -1.0, 1.5])
def test_a_rate_outside_its_range_is_refused(rate) -> None:
    with pytest.raises(ParameterError, match="above 0 and at most 1 for split 'train'"):
        sample_rates(["train"], sample_rate=rate)


def test_a_rate_for_an_unknown_split_names_the_nearest() -> None:
    with pytest.raises(ParameterError, match=r"'evla'.*Did you mean 'eval'"):
        sample_rates(["train", "eval"], sample_rate_by_split={"evla": 0.5})


def test_statistics_that_are_not_there_are_named(tmp_path) -> None:
    with pytest.raises(DataError, match=r"FeatureStats\.pb.*did not exclude"):
        read_statistics(str(tmp_path))
