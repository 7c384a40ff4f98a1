"""The component that reads Avro files."""

from __future__ import annotations

from penstock import BeamOptions, NodeContext, Output, Resolved, component
from penstock.artifacts import Examples
from penstock.data import ingestion
from penstock.data.payload import PayloadFormat
from penstock.data.spans import RangeConfig
from penstock.data.splits import InputConfig, OutputConfig


@component(resolve=ingestion.resolve_parameters, system_type="process")
def AvroExampleGen(
    examples: Output[Examples],
    input_base: str,
    input_config: InputConfig = InputConfig(),
    output_config: OutputConfig | None = None,
    range_config: RangeConfig | None = None,
    columns: list[str] | None = None,
    output_data_format: PayloadFormat = PayloadFormat.FORMAT_TF_EXAMPLE,
    sample_rate: float | None = None,
    span: Resolved[int] = 0,
    version: Resolved[int] | None = None,
    input_fingerprint: Resolved[str] = "",
    beam: BeamOptions = BeamOptions(),
    context: NodeContext = NodeContext(),
) -> None:
    """Read Avro files into examples.

    The first five parameters are those of `CsvExampleGen`. `columns` names the fields to read; all
    by default. Which of Avro's types become features, and which, is said in `penstock.data.avro`; a
    null is a feature without a value. Files may differ in types that make the same features, as
    `penstock.data.file_columns.common_types` says. `output_data_format` is FORMAT_TF_EXAMPLE or
    FORMAT_PARQUET.

    Raises:
      ParameterError: configurations do not fit each other.
      DataError: files are missing, are not Avro, or have fields that make different features.
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
    engine = beam.engine("penstock.components.avro_example_gen")
    to = to.keeping(
        context.kept_directory,
        input_fingerprint,
        input_config,
        range_config,
        span,
        version,
        columns,
    )
    engine.generate_examples(resolved, to, columns, context.progress, beam)
    ingestion.describe(examples, to, span, version, input_fingerprint)
