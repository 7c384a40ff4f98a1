"""ExampleDiff on an Apache Beam runner, by TensorFlow Data Validation's own transforms."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import apache_beam

from penstock.authoring.beam import BeamOptions
from penstock.components.example_diff.comparison import Comparison
from penstock.data.records import serialized_examples
from penstock.data.results import example_diffs


def compare(
    pairs: Mapping[str, tuple[Sequence[str], Sequence[str]]],
    comparison: Comparison,
    uri: str,
    beam: BeamOptions,
    progress: Callable[..., None],
) -> None:
    """Compare the files of baselines with others, by the names of their pairs."""
    with beam.pipeline(progress) as pipeline:
        for name, (baseline, files) in pairs.items():
            sides = (
                pipeline | f"Baseline[{name}]" >> _examples(baseline),
                pipeline | f"Examples[{name}]" >> _examples(files),
            )
            found = sides | f"Compare[{name}]" >> _detection(comparison)
            folder = os.path.join(uri, f"{example_diffs.PAIR}{name}")
            for kind, sink in _sinks(folder).items():
                if kind in found:
                    _ = found[kind] | f"Write[{name} {kind}]" >> sink


@apache_beam.ptransform_fn
def _examples(pipeline: Any, files: Sequence[str]) -> Any:
    return (
        pipeline
        | apache_beam.Create(list(files))
        # Without it one worker would read all files.
        | apache_beam.Reshuffle()
        | apache_beam.FlatMap(_read)
    )


def _read(file: str) -> Iterator[Any]:
    from tensorflow.core.example.example_pb2 import Example

    yield from map(Example.FromString, serialized_examples(file))


def _detection(comparison: Comparison) -> Any:
    from tensorflow_data_validation.skew import feature_skew_detector as detector

    return detector.DetectFeatureSkewImpl(
        list(comparison.identifiers),
        sorted(comparison.ignored),
        comparison.samples,
        comparison.digits,
        comparison.duplicates,
        [detector.ConfusionConfig(name) for name in comparison.confusion],
    )


def _sinks(folder: str) -> Mapping[str, Any]:
    from tensorflow_data_validation.skew import feature_skew_detector as detector

    return {
        detector.SKEW_RESULTS_KEY: detector.skew_results_sink(f"{folder}/{example_diffs.SKEW}"),
        detector.MATCH_STATS_KEY: detector.match_stats_sink(f"{folder}/{example_diffs.MATCHES}"),
        detector.SKEW_PAIRS_KEY: detector.skew_pair_sink(f"{folder}/{example_diffs.SAMPLES}"),
        detector.CONFUSION_KEY: detector.confusion_count_sink(
            f"{folder}/{example_diffs.CONFUSION}"
        ),
    }
