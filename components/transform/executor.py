"""One Transform: from artifacts and parameters to a job for an engine."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from penstock.artifacts import Artifact, Examples
from penstock.authoring.beam import BeamOptions
from penstock.components.schema_gen.schema_file import read_schema
from penstock.components.transform.analysis import dataset_key
from penstock.components.transform.job import (
    SEQUENCE_EXAMPLES,
    Job,
    StatisticsDirectories,
    bind_custom_config,
)
from penstock.data.splits import (
    check_written,
    encode_split_names,
    split_directory,
    split_files,
    split_names,
)
from penstock.errors import DataError, ParameterError
from penstock.project import user_code

Describe = Callable[[Examples, Sequence[Examples], Sequence[str]], None]


def describe(transformed: Examples, examples: Sequence[Examples], splits: Sequence[str]) -> None:
    """Set what our Transform says of transformed examples."""
    transformed.split_names = encode_split_names(list(splits))
    transformed.span = max(artifact.span for artifact in examples)
    transformed.set_string_custom_property("payload_format", "FORMAT_TF_EXAMPLE")


def transform(
    *,
    examples: Sequence[Examples],
    schema_uri: str,
    transform_graph_uri: str,
    transformed_examples: Examples | None = None,
    cache_uri: str | None = None,
    updated_cache_uri: str | None = None,
    statistics_artifacts: Sequence[Artifact | None] = (),
    module_file: str | None = None,
    module_path: str | None = None,
    preprocessing_fn: str | None = None,
    stats_options_updater_fn: str | None = None,
    analyze_splits: Sequence[str] | None = None,
    transform_splits: Sequence[str] | None = None,
    force_tf_compat_v1: bool = False,
    custom_config: Mapping[str, Any] | None = None,
    progress: Callable[..., None] | None = None,
    beam: BeamOptions | None = None,
    traced_schema: bool = False,
    describe: Describe = describe,
) -> None:
    """Analyze and transform the examples; `describe` sets the properties of the transformed ones.

    `statistics_artifacts` are the five in the order of StatisticsDirectories, or None each.
    """
    beam = beam or BeamOptions()
    if analyze_splits is not None and not analyze_splits:
        raise ParameterError("splits_config should name at least one split to analyze")
    if cache_uri and not updated_cache_uri:
        raise ParameterError(
            "analyzer_cache is given and disable_analyzer_cache is set",
            hint="Leave one of the two out.",
        )
    to_analyze = list(analyze_splits or ["train"])
    to_transform = list(_common_splits(examples) if transform_splits is None else transform_splits)
    functions = _functions(
        module_file, module_path, preprocessing_fn, stats_options_updater_fn, custom_config
    )
    job = Job(
        **functions,
        schema=read_schema(schema_uri),
        analyze_files=_files_by_dataset(examples, to_analyze),
        pre_statistics_files=_files_by_split(examples, to_analyze),
        transform_files=_files_by_split(examples, to_transform),
        graph_directory=transform_graph_uri,
        examples_directory=transformed_examples and transformed_examples.uri,
        cache_directory=cache_uri,
        updated_cache_directory=updated_cache_uri,
        statistics=_statistics_directories(statistics_artifacts),
        payload_format=_payload_format(examples),
        force_tf_compat_v1=force_tf_compat_v1,
        traced_schema=traced_schema,
        **({"progress": progress} if progress else {}),
    )
    engine = beam.engine("penstock.components.transform")
    try:
        engine.transform(job, beam)
    finally:
        shutil.rmtree(job.temporary_directory, ignore_errors=True)
    if transformed_examples is not None:
        check_written(transformed_examples.uri, to_transform)
        describe(transformed_examples, examples, to_transform)


def _functions(
    module_file: str | None,
    module_path: str | None,
    preprocessing_fn: str | None,
    stats_options_updater_fn: str | None,
    custom_config: Mapping[str, Any] | None,
) -> dict[str, Any]:
    module = {"module_file": module_file, "module_path": module_path}
    function = user_code.load_function("preprocessing_fn", function=preprocessing_fn, **module)
    updater = user_code.find_function(
        "stats_options_updater_fn", function=stats_options_updater_fn, **module
    )
    return {
        "preprocessing_fn": bind_custom_config(function, custom_config),
        "stats_options_updater_fn": updater and bind_custom_config(updater, custom_config),
    }


def _common_splits(examples: Sequence[Examples]) -> list[str]:
    """Return the splits that all of the artifacts have.

    Raises:
      DataError: one has others; its rows would be left out.
    """
    splits = split_names(examples[0])
    for other in examples[1:]:
        differing = set(splits) ^ set(split_names(other))
        if differing:
            raise DataError(
                f"all examples should have the splits {', '.join(splits)} of {examples[0].uri}, "
                f"and these have {', '.join(split_names(other)) or 'none'}",
                path=other.uri,
                hint="Say which splits to transform, as splits_config with "
                f"transform={sorted(set(splits) & set(split_names(other)))}.",
            )
    return splits


def _files_by_split(examples: Sequence[Examples], splits: Sequence[str]) -> dict[str, list[str]]:
    return {
        split: [file for artifact in examples for file in split_files(artifact, split)]
        for split in splits
    }


def _files_by_dataset(examples: Sequence[Examples], splits: Sequence[str]) -> dict[str, list[str]]:
    return {
        dataset_key(split_directory(artifact.uri, split)): split_files(artifact, split)
        for split in splits
        for artifact in examples
    }


def _payload_format(examples: Sequence[Examples]) -> str:
    formats = {
        artifact.get_string_custom_property("payload_format") or "FORMAT_TF_EXAMPLE"
        for artifact in examples
    }
    if len(formats) > 1:
        raise DataError(f"the examples should have one payload format, and have {sorted(formats)}")
    (payload_format,) = formats
    if payload_format == "FORMAT_PROTO":
        raise DataError(
            f"Transform reads tf.Example, {SEQUENCE_EXAMPLES} and Parquet, not protos",
            path=examples[0].uri,
        )
    return payload_format


def _statistics_directories(
    artifacts: Sequence[Artifact | None],
) -> StatisticsDirectories | None:
    directories = [artifact.uri for artifact in artifacts if artifact is not None]
    if not directories:
        return None
    for directory in directories:
        os.makedirs(directory, exist_ok=True)
    return StatisticsDirectories(*directories)
