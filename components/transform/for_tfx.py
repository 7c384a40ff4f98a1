"""The work of TFX's Transform."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from penstock.artifacts import Examples
from penstock.authoring.standing_in import TfxNode, stands_in_for
from penstock.components.standing_in import unusual_examples
from penstock.components.transform.component import SplitsConfig
from penstock.data.splits import encode_split_names

_STATISTICS = (
    "pre_transform_schema",
    "pre_transform_stats",
    "post_transform_schema",
    "post_transform_stats",
    "post_transform_anomalies",
)


@dataclass(frozen=True)
class Parameters:
    """What may be set of TFX's Transform."""

    module_file: str | None = None
    module_path: None = None
    preprocessing_fn: str | None = None
    stats_options_updater_fn: str | None = None
    splits_config: SplitsConfig | None = None
    force_tf_compat_v1: bool = False
    custom_config: dict[str, Any] | None = None
    disable_statistics: bool = False


def _obstacle(node: TfxNode, parameters: Parameters) -> str:
    if len(node.inputs["examples"]) > 1:
        return "there are several examples"
    # TFX writes objects of its own so.
    if '"__' in json.dumps(parameters.custom_config):
        return "custom_config has an object"
    return unusual_examples(node.inputs["examples"])


def _describe(transformed: Examples, _: Sequence[Examples], splits: Sequence[str]) -> None:
    transformed.split_names = encode_split_names(list(splits))


@stands_in_for(
    "tfx.components.transform.executor.Executor",
    preload=("tensorflow_transform.beam", "tensorflow_data_validation"),
    obstacle=_obstacle,
)
def Executor(node: TfxNode, parameters: Parameters) -> None:
    """Analyze the examples as `preprocessing_fn` asks, and transform them by the graph."""
    from penstock.components.transform import executor

    config = parameters.splits_config
    cache, updated = node.optional_input("analyzer_cache"), node.output("updated_analyzer_cache")
    executor.transform(
        examples=list(node.inputs["examples"]),
        schema_uri=node.input("schema").uri,
        transform_graph_uri=node.output("transform_graph").uri,
        transformed_examples=node.output("transformed_examples"),
        cache_uri=cache and cache.uri,
        updated_cache_uri=updated and updated.uri,
        statistics_artifacts=[
            None if parameters.disable_statistics else node.output(key) for key in _STATISTICS
        ],
        module_file=parameters.module_file,
        preprocessing_fn=parameters.preprocessing_fn,
        stats_options_updater_fn=parameters.stats_options_updater_fn,
        analyze_splits=config.analyze if config else None,
        transform_splits=config.transform if config else None,
        force_tf_compat_v1=parameters.force_tf_compat_v1,
        custom_config=parameters.custom_config,
        progress=node.context.progress,
        beam=node.beam.without_beam(),
        traced_schema=True,
        describe=_describe,
    )
