"""The component that imports records."""

from __future__ import annotations

from penstock import BeamOptions, NodeContext, Output, Resolved, component
from penstock.artifacts import Examples
from penstock.data import ingestion
from penstock.data.payload import PayloadFormat
from penstock.data.spans import RangeConfig
from penstock.data.splits import InputConfig, OutputConfig


@component(resolve=ingestion.resolve_parameters, system_type="process")
def ImportExampleGen(
    examples: Output[Examples],
    input_base: str,
    input_config: InputConfig = InputConfig(),
    output_config: OutputConfig | None = None,
    range_config: RangeConfig | None = None,
    output_data_format: PayloadFormat = PayloadFormat.FORMAT_TF_EXAMPLE,
    sample_rate: float | None = None,
    span: Resolved[int] = 0,
    version: Resolved[int] | None = None,
    input_fingerprint: Resolved[str] = "",
    beam: BeamOptions = BeamOptions(),
    context: NodeContext = NodeContext(),
) -> None:
    """Read TFRecord files, plain or gzip, check every record, and write them in splits.

    The first five parameters are those of `CsvExampleGen`. `output_data_format` says what the
    records are, as in TFX; FORMAT_PARQUET imports Parquet files as Parquet.

    Raises:
      ParameterError: configurations do not fit each other.
      DataError: files are missing or corrupt, or a record is not what `output_data_format` says.
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
    engine = beam.engine("penstock.components.import_example_gen")
    to = to.keeping(
        context.kept_directory, input_fingerprint, input_config, range_config, span, version
    )
    engine.generate_examples(resolved, to, context.progress, beam)
    ingestion.describe(examples, to, span, version, input_fingerprint)
