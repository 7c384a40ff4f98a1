"""StatisticsGen on an Apache Beam runner: TFDV's own transforms, all splits in one job."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import apache_beam
import pyarrow as pa
import tensorflow_data_validation as tfdv

from penstock.authoring.beam import BeamOptions
from penstock.components.statistics_gen.options import statistics_options
from penstock.components.statistics_gen.rows import check_payload_format, sampled
from penstock.data.beam.watching import Watched
from penstock.data.data_files import is_parquet
from penstock.data.results.statistics import FILE_NAME
from penstock.data.splits import split_directory

if TYPE_CHECKING:
    from tensorflow_metadata.proto.v0 import schema_pb2

_TELEMETRY = ["StatisticsGen"]


def generate_statistics(
    files_by_split: Mapping[str, Sequence[str]],
    statistics_uri: str,
    *,
    payload_format: str = "FORMAT_TF_EXAMPLE",
    schema: schema_pb2.Schema | None = None,
    stats_options_json: str | None = None,
    sample_rate_by_split: Mapping[str, float] | None = None,
    progress: Callable[..., None] | None = None,
    beam: BeamOptions | None = None,
) -> None:
    """Write `Split-X/FeatureStats.pb` below `statistics_uri` for every split.

    A sample is drawn row by row.

    Raises:
      ParameterError: the options do not hold together.
    """
    check_payload_format(payload_format)
    # The declared types of TFDV's lift do not hold under the checks of Beam 2.70 and later.
    beam = BeamOptions((*(beam.args if beam else ()), "--no_pipeline_type_check"))
    with beam.pipeline(progress) as pipeline:
        for split, files in files_by_split.items():
            options = statistics_options(stats_options_json, schema)
            rate = (sample_rate_by_split or {}).get(split, options.sample_rate) or 1.0
            # TFDV would sample whole batches.
            options.sample_rate = None
            batches = pipeline | f"Read[{split}]" >> _source(files, payload_format)
            batches |= f"Watch[{split}]" >> Watched(statistics_uri, pa.RecordBatch, _rows)
            if rate < 1.0:
                batches |= f"Sample[{split}]" >> apache_beam.FlatMap(
                    _sampled, rate
                ).with_output_types(pa.RecordBatch)
            path = os.path.join(split_directory(statistics_uri, split), FILE_NAME)
            _ = (
                batches
                | f"Generate[{split}]" >> tfdv.GenerateStatistics(options)
                | f"Write[{split}]" >> tfdv.WriteStatisticsToBinaryFile(path)
            )


def _source(files: Sequence[str], payload_format: str) -> Any:
    """Return a transform that reads record batches with columns of lists."""
    if not files:
        return apache_beam.Create([]).with_output_types(pa.RecordBatch)
    from tfx_bsl.public import tfxio

    parquet = [file for file in files if is_parquet(file)]
    records = [file for file in files if not is_parquet(file)]
    if not records:
        return _read_parquet(parquet)
    sequence = payload_format == "FORMAT_TF_SEQUENCE_EXAMPLE"
    record = tfxio.TFSequenceExampleRecord if sequence else tfxio.TFExampleRecord
    source = record(file_pattern=records, telemetry_descriptors=_TELEMETRY).BeamSource()
    return _read_both(source, parquet) if parquet else source


@apache_beam.ptransform_fn
def _read_both(pipeline: Any, source: Any, parquet: Sequence[str]) -> Any:
    return (
        pipeline | "Records" >> source,
        pipeline | "Parquet" >> _read_parquet(parquet),
    ) | apache_beam.Flatten()


@apache_beam.ptransform_fn
def _read_parquet(pipeline: Any, files: Sequence[str]) -> Any:
    return (
        pipeline
        | apache_beam.Create(list(files))
        # Without it one worker would read all files.
        | apache_beam.Reshuffle()
        | apache_beam.FlatMap(_parquet_batches).with_output_types(pa.RecordBatch)
    )


def _parquet_batches(path: str) -> Iterator[pa.RecordBatch]:
    from penstock.data.records import read_record_batches

    yield from read_record_batches([path], batch_rows=10_000)


def _rows(batch: pa.RecordBatch) -> int:
    return int(batch.num_rows)


def _sampled(batch: pa.RecordBatch, rate: float) -> Iterator[pa.RecordBatch]:
    yield from sampled([batch], rate, str(os.urandom(8)))
