"""The analysis in this process and that on Beam: the same graphs, vocabularies and caches."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pytest

from penstock.authoring.beam import BeamOptions
from penstock.components.transform.job import Job
from penstock.components.transform.vocabularies import FrequencyCount
from penstock.data.records import read_serialized, write_serialized

WORDS = ["", "Ünïcødé", "日本語", "two words", "line\nbreak", "a", "b", "b", "c", "ä" * 50]
KEYS = ["north", "süd", "", "west"]


def feature_spec() -> dict[str, Any]:
    import tensorflow as tf

    return {
        "number": tf.io.FixedLenFeature([], tf.float32),
        "integer": tf.io.FixedLenFeature([], tf.int64),
        "label": tf.io.FixedLenFeature([], tf.int64),
        "vector": tf.io.FixedLenFeature([3], tf.float32),
        "key": tf.io.FixedLenFeature([], tf.string),
        "missing": tf.io.VarLenFeature(tf.float32),
        "never": tf.io.VarLenFeature(tf.string),
        "words": tf.io.VarLenFeature(tf.string),
        "codes": tf.io.VarLenFeature(tf.int64),
        "identity": tf.io.VarLenFeature(tf.string),
        "ragged": tf.io.RaggedFeature(tf.float32, value_key="ragged"),
        "nested": tf.io.RaggedFeature(
            tf.string, value_key="names", partitions=[tf.io.RaggedFeature.RowLengths("sizes")]
        ),
    }


def examples(rows: int, seed: int) -> Iterator[bytes]:
    """Yield examples that lack values, repeat them, and have many kinds of them."""
    from tensorflow import train

    rng = random.Random(seed)
    for _ in range(rows):
        sizes = [rng.randrange(3) for _ in range(rng.randrange(3))]
        values: dict[str, list[Any]] = {
            "number": [rng.gauss(5, 2)],
            "integer": [rng.randrange(-50, 50)],
            "label": [rng.randrange(2)],
            "vector": [rng.gauss(i, i + 1) for i in range(3)],
            "key": [rng.choice(KEYS).encode()],
            "missing": [rng.random()] if rng.random() < 0.6 else [],
            "words": [rng.choice(WORDS).encode() for _ in range(rng.randrange(4))],
            "codes": [rng.randrange(-3, 12) for _ in range(rng.randrange(3))],
            "identity": [f"n° {rng.randrange(1 << 40)}".encode()],
            "ragged": [rng.random() for _ in range(rng.randrange(4))],
            "names": [rng.choice(WORDS).encode() for _ in range(sum(sizes))],
            "sizes": sizes,
        }
        example = train.Example()
        for name, listed in values.items():
            if listed:
                kind = {bytes: "bytes_list", int: "int64_list"}.get(type(listed[0]), "float_list")
                getattr(example.features.feature[name], kind).value.extend(listed)
        yield example.SerializeToString()


def preprocessing_fn(inputs: dict[str, Any]) -> dict[str, Any]:
    """Return an output for each analyzer, whatever its meaning."""
    import tensorflow as tf
    import tensorflow_transform as tft

    number, key, words = inputs["number"], inputs["key"], inputs["words"]
    first = tf.sparse.to_dense(tf.sparse.slice(words, [0, 0], [words.dense_shape[0], 1]), "?")
    first = tf.pad(first, [[0, 0], [0, 1]], constant_values="?")[:, 0]
    by_frequency = {
        "top": {"top_k": 3, "num_oov_buckets": 2},
        "often": {"frequency_threshold": 100, "fingerprint_shuffle": True},
        "zipped": {
            "file_format": "tfrecord_gzip",
            "store_frequency": True,
            "vocab_filename": "zipped",
        },
        "reserved": {"reserved_tokens": ["zero", "a"]},
    }
    outputs = {
        name: tft.compute_and_apply_vocabulary(words, **options)
        for name, options in by_frequency.items()
    }
    outputs |= {
        "weighted": tft.compute_and_apply_vocabulary(
            key, weights=number, store_frequency=True, vocab_filename="weighted"
        ),
        "informed": tft.compute_and_apply_vocabulary(
            key, labels=inputs["label"], vocab_filename="informed", top_k=3
        ),
        "adjusted": tft.compute_and_apply_vocabulary(
            key,
            labels=inputs["label"],
            weights=number,
            use_adjusted_mutual_info=True,
            min_diff_from_avg=0,
            vocab_filename="adjusted",
        ),
        "covered": tft.compute_and_apply_vocabulary(
            words,
            top_k=1,
            coverage_top_k=2,
            coverage_frequency_threshold=10,
            key_fn=lambda token: token[:1],
        ),
        "codes": tft.compute_and_apply_vocabulary(inputs["codes"], frequency_threshold=20),
        "identity": tft.compute_and_apply_vocabulary(inputs["identity"]),
        "never": tft.compute_and_apply_vocabulary(inputs["never"], default_value=7),
        "nested": tft.compute_and_apply_vocabulary(inputs["nested"].merge_dims(1, 2)),
        "z": tft.scale_to_z_score(number),
        "z_missing": tft.scale_to_z_score(inputs["missing"]),
        "z_vector": tft.scale_to_z_score(inputs["vector"], elementwise=True),
        "z_key": tft.scale_to_z_score_per_key(number, key),
        "z_key_file": tft.scale_to_z_score_per_key(number, key, key_vocabulary_filename="keys"),
        "unit": tft.scale_by_min_max(inputs["integer"]),
        "buckets": tft.bucketize(number, 7),
        "buckets_key": tft.bucketize_per_key(number, key, 3),
        # The second phase: quantiles of what the first has scaled.
        "buckets_of_z": tft.bucketize(tft.scale_to_z_score(number), 5),
        "hashed": tft.hash_strings(key, 100),
        "ngrams": tft.compute_and_apply_vocabulary(
            tft.ngrams(tf.compat.v1.string_split(first), (1, 2), " ")
        ),
    }
    indices, weights = tft.tfidf(outputs["reserved"], 30)
    outputs |= {"tfidf": weights, "tfidf_index": indices}
    keys, counts = tft.count_per_key(key)
    bounds, edges = tft.histogram(number, boundaries=6)
    everything = [
        tft.mean(inputs["integer"]),
        tft.var(inputs["missing"]),
        tft.min(inputs["vector"]),
        tft.max(inputs["codes"]),
        tft.sum(inputs["ragged"]),
        tft.size(words),
        tft.covariance(inputs["vector"], tf.float32),
        tft.pca(inputs["vector"], 2, tf.float32),
        counts,
        tf.strings.length(keys),
        bounds,
        edges,
    ]
    for position, value in enumerate(everything):
        flat = tf.reshape(tf.cast(value, tf.float32), [1, -1])
        outputs[f"value_{position:02}"] = tf.repeat(flat, tf.shape(number)[0], axis=0)
    return outputs


@pytest.fixture(scope="module")
def job(tmp_path_factory) -> Job:
    """A first span, a second, and one without rows."""
    from tensorflow_transform import DatasetMetadata

    directory = tmp_path_factory.mktemp("rows")
    spans = {"one": examples(800, 1), "two": examples(400, 2), "none": iter(())}
    return Job(
        preprocessing_fn=preprocessing_fn,
        schema=DatasetMetadata.from_feature_spec(feature_spec()).schema,
        analyze_files={
            span: write_serialized(str(directory / span), "examples", rows)
            for span, rows in spans.items()
        },
        pre_statistics_files={},
        transform_files={},
        graph_directory="",
    )


def analyzed(job: Job, directory: Path, engine: str, **changes: Any) -> Job:
    from penstock.components.transform import in_process, on_beam

    done = replace(
        job,
        graph_directory=str(directory / "graph"),
        **{"updated_cache_directory": str(directory / "cache"), **changes},
    )
    module = {"in_process": in_process, "on_beam": on_beam}[engine]
    module.transform(done, BeamOptions(("--runner=DirectRunner",)))
    return done


@pytest.fixture(scope="module")
def in_process(job, tmp_path_factory) -> Job:
    return analyzed(job, tmp_path_factory.mktemp("in_process"), "in_process")


@pytest.fixture(scope="module")
def on_beam(job, tmp_path_factory) -> Job:
    return analyzed(job, tmp_path_factory.mktemp("on_beam"), "on_beam")


def transformed(job: Job, rows_of: Job) -> dict[str, Any]:
    """Return the outputs of a job's graph for the first span."""
    from penstock.components.transform.in_process import graph_function
    from penstock.components.transform.rows import read_rows

    function = graph_function(job)
    schema = job.projected_schema(job.columns.transformed)
    batches = read_rows(rows_of.analyze_files["one"], schema, job.payload_format)
    return pyarrow.Table.from_batches([function(batch) for batch in batches]).to_pydict()


def flat(values: Any) -> Iterator[Any]:
    for value in values:
        yield from flat(value) if isinstance(value, list) else [value]


def test_both_engines_graphs_have_the_same_outputs(in_process, on_beam):
    ours, beams = transformed(in_process, in_process), transformed(on_beam, on_beam)
    assert list(ours) == list(beams)
    for name in ours:
        ours_flat, beams_flat = list(flat(ours[name])), list(flat(beams[name]))
        np.testing.assert_allclose(ours_flat, beams_flat, rtol=1e-4, atol=1e-5, err_msg=name)


def vocabulary_files(job: Job) -> dict[str, Any]:
    assets = Path(job.graph_directory, "transform_fn", "assets")
    return {
        path.name: [*read_serialized(str(path))] if path.suffix == ".gz" else path.read_bytes()
        for path in assets.iterdir()
    }


def test_both_engines_write_the_same_vocabularies(in_process, on_beam):
    ours, beams = vocabulary_files(in_process), vocabulary_files(on_beam)
    # Keys with means and variances, whose last digits depend on the order of the batches.
    del ours["keys"], beams["keys"]
    weights = [
        [(round(float(number), 1), token) for number, token in map(bytes.split, lines)]
        for lines in (files.pop("weighted").splitlines() for files in (ours, beams))
    ]
    assert ours == beams
    assert set(ours) >= {"zipped.tfrecord.gz", "informed", "adjusted"}
    assert weights[0] == weights[1]


def test_both_engines_write_the_same_schemas_and_names(in_process, on_beam):
    for name in ("schema.pbtxt", "asset_map"):
        ours, beams = (
            Path(job.graph_directory, "transformed_metadata", name).read_text()
            for job in (in_process, on_beam)
        )
        assert ours == beams


def cache_entries(job: Job) -> dict[str, dict[bytes, list[bytes]]]:
    from tensorflow_transform.beam.analyzer_cache import DatasetKey

    from penstock.components.transform import analyzer_cache_files

    keys = [DatasetKey(name) for name in job.analyze_files]
    caches = analyzer_cache_files.read(job.updated_cache_directory, keys)
    return {
        dataset.key: {
            key: sorted(analyzer_cache_files.records(pattern))
            for key, pattern in cache.cache_dict.items()
        }
        for dataset, cache in caches.items()
    }


def test_both_engines_write_the_same_analyzer_caches(in_process, on_beam):
    ours, beams = cache_entries(in_process), cache_entries(on_beam)
    assert {name: set(entries) for name, entries in ours.items()} == {
        name: set(entries) for name, entries in beams.items()
    }
    counts = [
        (entries, beams[span][key])
        for span, of_span in ours.items()
        for key, entries in of_span.items()
        if b"VocabularyAccumulate" in key and b"mutual" not in key
    ]
    assert len(counts) > 20
    assert sum(entries == beams_entries for entries, beams_entries in counts) >= len(counts) - 9


def test_the_analysis_takes_a_cache_that_beam_has_written(on_beam, job, tmp_path, monkeypatch):
    monkeypatch.setattr(FrequencyCount, "add", None)
    cache = on_beam.updated_cache_directory
    again = analyzed(job, tmp_path, "in_process", cache_directory=cache)
    ours, beams = vocabulary_files(again), vocabulary_files(on_beam)
    assert ours["zipped.tfrecord.gz"] == beams["zipped.tfrecord.gz"]
    assert ours["adjusted"] == beams["adjusted"]


def by_a_transform_of_beam(inputs: dict[str, Any]) -> dict[str, Any]:
    import apache_beam
    import tensorflow as tf
    import tensorflow_transform as tft

    largest = apache_beam.CombineGlobally(
        lambda parts: max((float(np.max(part)) for part in parts), default=-100.0)
    )
    (value,) = tft.experimental.ptransform_analyzer(
        [inputs["integer"]],
        apache_beam.Map(lambda batch: batch[0].max()) | largest,
        [tf.float32],
        [[]],
    )
    return {"share": tf.cast(inputs["integer"], tf.float32) / value}


def test_an_analyzer_that_is_a_beam_transform_is_left_to_beam(job, tmp_path, capsys):
    done = analyzed(
        replace(job, preprocessing_fn=by_a_transform_of_beam),
        tmp_path,
        "in_process",
        updated_cache_directory=None,
    )
    said = "Analyzing with Apache Beam, which takes longer: no PTransform in process (PTransform"
    assert said in capsys.readouterr().out
    assert max(transformed(done, done)["share"]) == [1.0]
