"""The work of TFX's StatisticsGen."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from penstock.authoring.standing_in import TfxNode, stands_in_for
from penstock.components.schema_gen.schema_file import read_schema
from penstock.components.standing_in import unusual_examples
from penstock.data.splits import encode_split_names, split_files, split_names
from penstock.errors import DataError

# Options of `tfdv.StatsOptions` that choose rows by chance, which no two runs choose alike.
_BY_CHANCE = ("_sample_rate", "sample_rate")
# Those that TFX hands to its reader of records.
_OF_THE_READER = ("_experimental_filter_read_paths", "experimental_filter_read_paths")


@dataclass(frozen=True)
class Parameters:
    """What may be set of TFX's StatisticsGen."""

    stats_options_json: str | None = None
    exclude_splits: list[str] | None = None
    sharded_stats_output: bool = False
    sample_rate_by_split: dict[str, Any] | None = None


def _obstacle(node: TfxNode, parameters: Parameters) -> str:
    if parameters.sharded_stats_output:
        return "sharded_stats_output is set"
    if parameters.sample_rate_by_split:
        return "sample_rate_by_split is set"
    options = json.loads(parameters.stats_options_json or "{}")
    for name in (*_BY_CHANCE, *_OF_THE_READER):
        if options.get(name):
            return f"the {name.lstrip('_')} of stats_options is set"
    return unusual_examples(node.inputs["examples"])


@stands_in_for(
    "tfx.components.statistics_gen.executor.Executor",
    preload=("tensorflow_data_validation",),
    obstacle=_obstacle,
)
def Executor(node: TfxNode, parameters: Parameters) -> None:
    """Compute TFDV's statistics of every split."""
    from penstock.components.statistics_gen import in_process

    examples, statistics = node.input("examples"), node.output("statistics")
    schema = node.optional_input("schema")
    splits = [s for s in split_names(examples) if s not in (parameters.exclude_splits or ())]
    if not splits:
        raise DataError("the examples have no split that is not excluded", path=examples.uri)
    in_process.generate_statistics(
        {split: split_files(examples, split) for split in splits},
        statistics.uri,
        schema=read_schema(schema.uri) if schema is not None else None,
        stats_options_json=parameters.stats_options_json,
        progress=node.context.progress,
        beam=node.beam,
    )
    statistics.split_names = encode_split_names(splits)
    statistics.span = examples.span
    # TFX has a dashboard at its makers' alone, and text for JSON.
    statistics.set_string_custom_property("stats_dashboard_link", "")
    rates = json.dumps(dict.fromkeys(splits, 1.0), sort_keys=True)
    statistics.set_json_value_custom_property("sample_rate_by_split", rates)
