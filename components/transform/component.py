"""Transform: features by the user's preprocessing_fn, and the graph that makes them in serving."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from penstock import BeamOptions, Input, NodeContext, Output, component
from penstock.artifacts import (
    ExampleAnomalies,
    Examples,
    ExampleStatistics,
    Schema,
    TransformCache,
    TransformGraph,
)


@dataclass(frozen=True)
class SplitsConfig:
    """The splits to compute vocabularies, means and the like over, and those to transform.

    As in TFX there must be one to analyze, and those that are not named are not transformed.
    """

    analyze: list[str] = field(default_factory=list)
    transform: list[str] = field(default_factory=list)


def absent_outputs(parameters: dict[str, Any]) -> set[str]:
    """Return the outputs that the parameters switch off."""
    absent = set()
    if not parameters["materialize"]:
        absent.add("transformed_examples")
    if parameters["disable_analyzer_cache"]:
        absent.add("updated_analyzer_cache")
    if parameters["disable_statistics"]:
        absent |= {"pre_transform_schema", "pre_transform_stats", "post_transform_schema"}
        absent |= {"post_transform_stats", "post_transform_anomalies"}
    return absent


@component(
    preload=("tensorflow_transform.beam", "tensorflow_data_validation"),
    absent_outputs=absent_outputs,
    system_type="transform",
)
def Transform(
    examples: Input[list[Examples]],
    schema: Input[Schema],
    transform_graph: Output[TransformGraph],
    transformed_examples: Output[Examples] | None = None,
    updated_analyzer_cache: Output[TransformCache] | None = None,
    pre_transform_schema: Output[Schema] | None = None,
    pre_transform_stats: Output[ExampleStatistics] | None = None,
    post_transform_schema: Output[Schema] | None = None,
    post_transform_stats: Output[ExampleStatistics] | None = None,
    post_transform_anomalies: Output[ExampleAnomalies] | None = None,
    analyzer_cache: Input[TransformCache] | None = None,
    module_file: str | None = None,
    module_path: str | None = None,
    preprocessing_fn: str | None = None,
    stats_options_updater_fn: str | None = None,
    splits_config: SplitsConfig | None = None,
    materialize: bool = True,  # noqa: ARG001  # these three are read by absent_outputs
    disable_analyzer_cache: bool = False,  # noqa: ARG001
    disable_statistics: bool = False,  # noqa: ARG001
    force_tf_compat_v1: bool = False,
    custom_config: dict[str, Any] | None = None,
    beam: BeamOptions = BeamOptions(),
    context: NodeContext = NodeContext(),
) -> None:
    """Analyze the examples as `preprocessing_fn` asks, and transform them by the resulting graph.

    The code is TFX's contract, `preprocessing_fn(inputs[, custom_config])` and optionally
    `stats_options_updater_fn(stats_type, options)`, in `module_file`, the path of a Python file,
    or in `module_path`, the name of a module; or the two parameters are their dotted names.
    Without `splits_config` the split `train` is analyzed and every split transformed. Several
    examples are transformed into one. Statistics are those of the columns that are used before,
    and of all columns after the transformation, the splits of each taken together.

    Raises:
      UserCodeError: the code does not load or fails.
      DataError: a split is missing.
    """
    from penstock.components.transform import executor

    executor.transform(
        examples=examples,
        schema_uri=schema.uri,
        transform_graph_uri=transform_graph.uri,
        transformed_examples=transformed_examples,
        cache_uri=analyzer_cache and analyzer_cache.uri,
        updated_cache_uri=updated_analyzer_cache and updated_analyzer_cache.uri,
        statistics_artifacts=(
            pre_transform_schema,
            pre_transform_stats,
            post_transform_schema,
            post_transform_stats,
            post_transform_anomalies,
        ),
        module_file=module_file,
        module_path=module_path,
        preprocessing_fn=preprocessing_fn,
        stats_options_updater_fn=stats_options_updater_fn,
        analyze_splits=splits_config.analyze if splits_config else None,
        transform_splits=splits_config.transform if splits_config else None,
        force_tf_compat_v1=force_tf_compat_v1,
        custom_config=custom_config,
        progress=context.progress,
        beam=beam,
    )
