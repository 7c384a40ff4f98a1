"""The component that reads CSV files."""

from __future__ import annotations

import json

from penstock import BeamOptions, NodeContext, Output, Resolved, component
from penstock.artifacts import Examples
from penstock.data import ingestion
from penstock.data.csv_options import CsvOptions
from penstock.data.payload import PayloadFormat
from penstock.data.spans import RangeConfig
from penstock.data.splits import InputConfig, OutputConfig


@component(resolve=ingestion.resolve_parameters, system_type="process")
def CsvExampleGen(
    examples: Output[Examples],
    input_base: str,
    input_config: InputConfig = InputConfig(),
    output_config: OutputConfig | None = None,
    range_config: RangeConfig | None = None,
    csv: CsvOptions = CsvOptions(),
    output_data_format: PayloadFormat = PayloadFormat.FORMAT_TF_EXAMPLE,
    sample_rate: float | None = None,
    span: Resolved[int] = 0,
    version: Resolved[int] | None = None,
    input_fingerprint: Resolved[str] = "",
    beam: BeamOptions = BeamOptions(),
    context: NodeContext = NodeContext(),
) -> None:
    """Read CSV files into examples, the same that TFX's CsvExampleGen makes of them.

    `input_base` is a folder, or the URL of one in an object store; `input_config`,
    `output_config` and `range_config` are the dataclasses of `penstock.data`, or TFX's messages
    with the same names. Without `output_config` a single input split becomes train and eval, two
    to one. Types are inferred over all input splits. `output_data_format` is FORMAT_TF_EXAMPLE or
    FORMAT_PARQUET.

    Raises:
      ParameterError: configurations do not fit each other.
      DataError: files are missing or are not CSV; the error names file, line and column.
    """
    to = ingestion.destination(
        examples.uri, input_config, output_config, output_data_format, sample_rate
    )
    resolved = ingestion.input_of(
        input_base,
        input_config,
        range_config,
        span,
        version,
        context.temporary_directory,
        beam.fetch(),
    )
    engine = beam.engine("penstock.components.csv_example_gen")
    to = to.keeping(
        context.kept_directory, input_fingerprint, input_config, range_config, span, version, csv
    )
    texts = engine.generate_examples(resolved, to, csv, context.progress, beam)
    ingestion.describe(examples, to, span, version, input_fingerprint)
    if texts:
        examples.set_string_custom_property(ingestion.TEXTS_PROPERTY, json.dumps(texts))
