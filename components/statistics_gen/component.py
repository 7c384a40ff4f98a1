"""StatisticsGen: what is in the data, feature by feature."""

from __future__ import annotations

import json

from penstock import BeamOptions, Input, NodeContext, Output, component
from penstock.artifacts import Examples, ExampleStatistics, Schema
from penstock.components.schema_gen.schema_file import read_schema
from penstock.components.statistics_gen.sampling import sample_rates
from penstock.data.ingestion import TEXTS_PROPERTY
from penstock.data.splits import encode_split_names, split_files, split_names
from penstock.errors import DataError


@component(preload=("tensorflow_data_validation",), system_type="process")
def StatisticsGen(
    examples: Input[Examples],
    statistics: Output[ExampleStatistics],
    schema: Input[Schema] | None = None,
    stats_options_json: str | None = None,
    exclude_splits: list[str] | None = None,
    sample_rate: float | None = None,
    sample_rate_by_split: dict[str, float] | None = None,
    beam: BeamOptions = BeamOptions(),
    context: NodeContext = NodeContext(),
) -> None:
    """Compute TFDV's statistics of every split of the examples.

    `schema` says which features are bytes or categories. `stats_options_json` is what
    `tfdv.StatsOptions(...).to_json()` returns, or a part of it: `{"num_top_values": 50}`.
    `sample_rate` is the share of rows to look at, above 0 and at most 1; the rates of
    `sample_rate_by_split` come before it, and it comes before that of the options.

    Raises:
      DataError: no split is left.
      ParameterError: the options make no sense.
    """
    excluded = set(exclude_splits or ())
    splits = [split for split in split_names(examples) if split not in excluded]
    if not splits:
        raise DataError(
            f"expected examples with a split that is not excluded, but the splits are "
            f"{split_names(examples)} and exclude_splits is {sorted(excluded)}",
            path=examples.uri,
            hint="Take a split off exclude_splits.",
        )
    rates = sample_rates(splits, stats_options_json, sample_rate, sample_rate_by_split)
    engine = beam.engine("penstock.components.statistics_gen")
    engine.generate_statistics(
        {split: split_files(examples, split) for split in splits},
        statistics.uri,
        payload_format=examples.get_string_custom_property("payload_format") or "FORMAT_TF_EXAMPLE",
        schema=read_schema(schema.uri) if schema is not None else None,
        stats_options_json=stats_options_json,
        sample_rate_by_split=rates,
        progress=context.progress,
        beam=beam,
    )
    statistics.split_names = encode_split_names(splits)
    statistics.span = examples.span
    if texts := examples.get_string_custom_property(TEXTS_PROPERTY):
        statistics.set_string_custom_property(TEXTS_PROPERTY, texts)
    # TFX stores the JSON text as a JSON string; readers of its artifacts expect that.
    statistics.set_json_value_custom_property("sample_rate_by_split", json.dumps(rates))
