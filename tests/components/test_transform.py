"""Transform: TFX's module file unedited, the layout of its artifacts, and both engines alike."""

import os
from pathlib import Path

import pytest

from penstock import _tfx
from penstock.authoring import artifacts
from penstock.authoring.beam import BeamOptions
from penstock.components import Transform
from penstock.data.records import read_serialized, record_files
from penstock.errors import DataError, ParameterError, UserCodeError

STATISTICS = (
    "pre_transform_schema",
    "pre_transform_stats",
    "post_transform_schema",
    "post_transform_stats",
    "post_transform_anomalies",
)


def rows(examples, split: str) -> list[dict]:
    """Return a split's rows as sorted lists of numbers by feature."""
    from tensorflow import train

    parsed = []
    for record in read_serialized(record_files(f"{examples.uri}/Split-{split}")):
        features = train.Example.FromString(record).features.feature
        parsed.append(
            {
                name: [
                    round(float(x), 4) for x in (*value.int64_list.value, *value.float_list.value)
                ]
                for name, value in sorted(features.items())
            }
        )
    return sorted(parsed, key=str)


def statistics(artifact):
    import tensorflow_data_validation as tfdv

    return tfdv.load_stats_binary(os.path.join(artifact.uri, "FeatureStats.pb")).datasets[0]


@pytest.fixture(scope="module")
def taxi_on_beam(run_taxi_transform):
    return run_taxi_transform(beam=BeamOptions(("--runner=DirectRunner",)))


@pytest.fixture
def module(tmp_path):
    def write(text: str) -> str:
        path = tmp_path / "preprocessing.py"
        path.write_text(text)
        return str(path)

    return write


@pytest.fixture
def channel():
    return lambda kind: _tfx.types.Channel(type=kind)


def test_the_graph_has_tfx_layout(taxi_transform):
    written = {
        str(path.relative_to(taxi_transform.graph))
        for path in Path(taxi_transform.graph).rglob("*")
        if path.is_file()
    }
    assert written >= {
        "metadata/schema.pbtxt",
        "transform_fn/saved_model.pb",
        "transformed_metadata/schema.pbtxt",
        "transformed_metadata/asset_map",
    }
    assert not [name for name in written if "temp" in name]


def test_tf_transform_reads_the_graph(taxi_transform):
    import tensorflow_transform as tft

    output = tft.TFTransformOutput(taxi_transform.graph)
    assert "fare" in output.raw_feature_spec()
    assert "fare_xf" in output.transformed_feature_spec()


def test_the_vocabulary_is_that_of_tfx(taxi_transform, testdata):
    name = "transform_fn/assets/vocab_compute_and_apply_vocabulary_vocabulary"
    golden = Path(testdata, "transform/transform_graph", name).read_text().split("\n")
    ours = Path(taxi_transform.graph, name).read_text().split("\n")
    assert sorted(ours) == sorted(golden)


def test_transformed_examples_have_tfx_names_and_properties(taxi_transform):
    assert [
        os.path.basename(path)
        for path in record_files(f"{taxi_transform.examples.uri}/Split-train")
    ] == ["transformed_examples-00000-of-00001.gz"]
    assert taxi_transform.examples.split_names == '["train", "eval"]'
    payload = taxi_transform.examples.get_string_custom_property("payload_format")
    assert payload == "FORMAT_TF_EXAMPLE"


def test_every_row_is_transformed(taxi_transform, taxi_examples):
    for split in ("train", "eval"):
        raw = read_serialized(record_files(f"{taxi_examples.uri}/Split-{split}"))
        assert len(rows(taxi_transform.examples, split)) == sum(1 for _ in raw)


def test_scaled_features_have_mean_0_and_deviation_1(taxi_transform):
    values = [row["fare_xf"][0] for row in rows(taxi_transform.examples, "train")]
    mean = sum(values) / len(values)
    assert mean == pytest.approx(0, abs=1e-3)
    assert sum((x - mean) ** 2 for x in values) / len(values) == pytest.approx(1, abs=1e-3)


def test_both_engines_make_the_same_examples(taxi_transform, taxi_on_beam):
    assert rows(taxi_on_beam.examples, "eval") == rows(taxi_transform.examples, "eval")
    assert rows(taxi_on_beam.examples, "train") == rows(taxi_transform.examples, "train")


@pytest.mark.parametrize("index", [1, 3])
def test_both_engines_count_the_same(taxi_transform, taxi_on_beam, index):
    ours, beams = (
        statistics(taxi_transform.statistics[index]),
        statistics(taxi_on_beam.statistics[index]),
    )
    assert ours.num_examples == beams.num_examples
    assert sorted(f.path.step[0] for f in ours.features) == sorted(
        f.path.step[0] for f in beams.features
    )


def test_statistics_are_of_the_analyzed_rows_before_and_of_all_after(taxi_transform):
    before, after = (statistics(taxi_transform.statistics[index]) for index in (1, 3))
    train, both = (
        sum(len(rows(taxi_transform.examples, split)) for split in splits)
        for splits in (["train"], ["train", "eval"])
    )
    assert (before.num_examples, after.num_examples) == (train, both)


def test_schemas_and_anomalies_are_written(taxi_transform):
    names = ["schema.pbtxt", "FeatureStats.pb", "schema.pbtxt", "FeatureStats.pb", "SchemaDiff.pb"]
    written = [os.listdir(artifact.uri) for artifact in taxi_transform.statistics]
    assert written == [[name] for name in names]


def test_the_analyzer_cache_spares_reading_the_data(
    taxi_transform, run_taxi_transform, analyzed_files
):
    again = run_taxi_transform(
        cache_uri=taxi_transform.cache, transformed_examples=None, statistics_artifacts=()
    )
    assert analyzed_files == []
    assert sorted(os.listdir(again.cache)) == sorted(os.listdir(taxi_transform.cache))


def test_a_second_span_reads_only_what_the_cache_of_the_first_lacks(
    run_taxi_transform, taxi_examples, analyzed_files
):
    parts = {"updated_cache_uri": None, "transformed_examples": None, "statistics_artifacts": ()}
    both = run_taxi_transform(analyze_splits=["train", "eval"], **parts)
    first = run_taxi_transform(**{**parts, "updated_cache_uri": both.cache})
    analyzed_files.clear()
    second = run_taxi_transform(
        analyze_splits=["train", "eval"],
        cache_uri=both.cache,
        transformed_examples=None,
        statistics_artifacts=(),
    )
    assert analyzed_files == record_files(f"{taxi_examples.uri}/Split-eval")
    assert len(os.listdir(second.cache)) == 2
    assert constants(second) == constants(both) != constants(first)


def constants(transformed) -> list[str]:
    """Return the numbers and vocabularies that the analyzers put into a graph."""
    import tensorflow_transform as tft
    from tensorflow_transform.saved.saved_transform_io_v2 import SavedModelLoader

    directory = tft.TFTransformOutput(transformed.graph).transform_savedmodel_dir
    graph = SavedModelLoader(directory)._func_graph
    files = sorted(Path(directory, "assets").iterdir())
    tensors = [op.get_attr("value") for op in graph.get_operations() if op.type == "Const"]
    return [*map(str, tensors), *(file.read_text() for file in files)]


@pytest.fixture
def analyzed_files(monkeypatch):
    """The files that analyses read."""
    from penstock.components.transform import rows

    read = []
    read_rows = rows.read_rows
    monkeypatch.setattr(
        rows, "read_rows", lambda files, *rest: read.extend(files) or read_rows(files, *rest)
    )
    return read


def test_code_without_analyzers_needs_no_beam(run_taxi_transform, module, monkeypatch):
    from penstock.components.transform import analysis

    monkeypatch.setattr(analysis, "analyze_on_beam", None)
    text = "def preprocessing_fn(inputs):\n    return {'hour': inputs['trip_start_hour'] * 2}\n"
    outputs = run_taxi_transform(module_file=module(text))
    assert set(rows(outputs.examples, "eval")[0]) == {"hour"}


def test_custom_config_reaches_the_function(run_taxi_transform, module):
    text = (
        "import tensorflow as tf\n"
        "def preprocessing_fn(inputs, custom_config):\n"
        "    return {custom_config['name']: inputs['trip_start_hour']}\n"
    )
    outputs = run_taxi_transform(
        module_file=module(text),
        custom_config={"name": "hour"},
        analyze_splits=["train"],
        transform_splits=["eval"],
    )
    assert set(rows(outputs.examples, "eval")[0]) == {"hour"}
    assert outputs.examples.split_names == '["eval"]'
    assert statistics(outputs.statistics[1]).num_examples > 0


def test_the_stats_options_of_the_user_are_kept(run_taxi_transform, module):
    text = (
        "def preprocessing_fn(inputs):\n"
        "    return {'hour': inputs['trip_start_hour']}\n"
        "def stats_options_updater_fn(stats_type, options):\n"
        "    options.num_histogram_buckets = 3 if stats_type.name == 'POST_TRANSFORM' else 10\n"
        "    return options\n"
    )
    outputs = run_taxi_transform(module_file=module(text))
    (hour,) = statistics(outputs.statistics[3]).features
    assert len(hour.num_stats.histograms[0].buckets) == 3


def test_an_error_in_the_function_shows_its_line(run_taxi_transform, module):
    path = module("def preprocessing_fn(inputs):\n    return {'x': inputs['trip_mile']}\n")
    with pytest.raises(
        UserCodeError, match="preprocessing_fn failed: KeyError: 'trip_mile'"
    ) as caught:
        run_taxi_transform(module_file=path)
    assert f"{path}:2" in str(caught.value)
    assert "The inputs have no column 'trip_mile'. Did you mean 'trip_miles'?" in str(caught.value)


def test_an_operation_that_fails_on_data_is_the_users(run_taxi_transform, module):
    text = (
        "import tensorflow as tf\n"
        "def preprocessing_fn(inputs):\n"
        "    hour = inputs['trip_start_hour']\n"
        "    least = tf.constant(0, tf.int64)\n"
        "    with tf.control_dependencies([tf.debugging.assert_less(hour.values, least)]):\n"
        "        return {'hour': hour.with_values(tf.identity(hour.values))}\n"
    )
    with pytest.raises(UserCodeError, match="the transformation failed on a batch of"):
        run_taxi_transform(module_file=module(text))


def test_an_unknown_split_names_the_nearest(run_taxi_transform):
    with pytest.raises(DataError, match="Did you mean 'train'"):
        run_taxi_transform(analyze_splits=["trian"], transform_splits=[])


def test_a_split_that_only_one_of_several_examples_has_is_not_left_out(
    run_taxi_transform, taxi_examples, make_artifact, tmp_path
):
    other = make_artifact(artifacts.Examples, tmp_path, ["train", "test"])
    with pytest.raises(DataError) as raised:
        run_taxi_transform(examples=[taxi_examples, other])
    assert "all examples should have the splits train, eval of " in str(raised.value)
    assert f"and these have train, test ({tmp_path}). Say which splits" in str(raised.value)


def test_no_split_to_analyze_is_an_error(run_taxi_transform):
    with pytest.raises(ParameterError, match="at least one split to analyze"):
        run_taxi_transform(analyze_splits=[], transform_splits=["train"])


def test_a_cache_that_is_switched_off_is_an_error(run_taxi_transform):
    with pytest.raises(ParameterError, match="disable_analyzer_cache"):
        run_taxi_transform(cache_uri="cache", updated_cache_uri=None)


@pytest.mark.parametrize(
    ("parameters", "absent"),
    [
        ({}, set()),
        ({"materialize": False}, {"transformed_examples"}),
        ({"disable_analyzer_cache": True}, {"updated_analyzer_cache"}),
        ({"disable_statistics": True}, set(STATISTICS)),
    ],
)
def test_outputs_that_are_switched_off_are_absent(channel, parameters, absent):
    transform = Transform(
        examples=channel(artifacts.Examples),
        schema=channel(artifacts.Schema),
        module_file="preprocessing.py",
        **parameters,
    )
    optional = {"transformed_examples", "updated_analyzer_cache", *STATISTICS}
    assert optional - set(transform.outputs) == absent


def test_tfx_protos_are_taken_for_splits(channel):
    from tfx.proto import transform_pb2

    transform = Transform(
        examples=channel(artifacts.Examples),
        schema=channel(artifacts.Schema),
        module_file="preprocessing.py",
        splits_config=transform_pb2.SplitsConfig(analyze=["train"], transform=["eval"]),
    )
    assert transform.exec_properties["splits_config"] == (
        '{"analyze": ["train"], "transform": ["eval"]}'
    )
