"""Transform on an Apache Beam runner."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import Any

from penstock.authoring.beam import BeamOptions
from penstock.components.transform import analysis, statistics
from penstock.components.transform.job import Job
from penstock.components.transform.rows import read_rows


def transform(job: Job, beam: BeamOptions) -> None:
    """Write the TransformGraph, then the transformed examples and statistics that are asked for."""
    _analyze(job, beam)
    _apply(job, beam)


def _analyze(job: Job, beam: BeamOptions) -> None:
    """Write the TransformGraph, and the analyzer cache if it is asked for."""
    analysis.write_raw_metadata(job)
    if job.columns.analyzed:
        analysis.analyze_on_beam(job, beam.pipeline(job.progress))
    else:
        analysis.analyze_without_data(job)


def _apply(job: Job, beam: BeamOptions) -> None:
    """Write the transformed examples and the statistics, as far as they are asked for."""
    from tensorflow_transform import beam as tft_beam

    if job.examples_directory is None and job.statistics is None:
        return
    temporary = job.temporary_directory
    results = _Results(job, temporary)
    context = tft_beam.Context(
        temp_dir=temporary,
        force_tf_compat_v1=job.force_tf_compat_v1,
    )
    with beam.pipeline(job.progress) as pipeline, context:
        results.build(pipeline)
    results.write_reports()
    shutil.rmtree(temporary, ignore_errors=True)


class _Results:
    """The part of a Beam pipeline after the analysis, and the reports on its statistics."""

    def __init__(self, job: Job, temporary: str) -> None:
        self._job = job
        self._before = os.path.join(temporary, "before", "FeatureStats.pb")
        self._after = os.path.join(temporary, "after", "FeatureStats.pb")
        self._options: tuple[Any, Any] | None = None
        if job.statistics:
            self._options = (statistics.options_before(job), statistics.options_after(job))

    def build(self, pipeline: Any) -> None:
        """Add reading, transforming, writing and statistics to the pipeline."""
        import apache_beam as beam
        import tensorflow_data_validation as tfdv
        from tensorflow_transform import beam as tft_beam

        job = self._job
        transform_fn = pipeline | tft_beam.ReadTransformFn(job.graph_directory)
        transformed = []
        for split, files in job.transform_files.items():
            config = job.tfxio().Project(job.columns.transformed).TensorAdapterConfig()
            rows = _rows(job, pipeline, split, files, job.columns.transformed)
            batches, _ = ((rows, config), transform_fn) | (
                f"Transform[{split}]" >> tft_beam.TransformDataset(output_record_batches=True)
            )
            transformed.append(batches | f"Batches[{split}]" >> beam.Keys())
            if job.examples_directory is not None:
                _write(job, split, transformed[-1])
        if self._options is None:
            return
        raw = [
            _rows(job, pipeline, f"{split} before", files, job.columns.used, counts=False)
            for split, files in job.pre_statistics_files.items()
        ]
        for name, inputs, options, path in (
            ("Before", raw, self._options[0], self._before),
            ("After", transformed, self._options[1], self._after),
        ):
            os.makedirs(os.path.dirname(path), exist_ok=True)
            _ = (
                inputs
                | f"Flatten{name}" >> beam.Flatten(pipeline=pipeline)
                | f"Statistics{name}" >> tfdv.GenerateStatistics(options)
                | f"WriteStatistics{name}" >> tfdv.WriteStatisticsToBinaryFile(path)
            )

    def write_reports(self) -> None:
        """Write statistics, schemas and anomalies into their artifacts."""
        import tensorflow_data_validation as tfdv

        if self._options is not None:
            before, after = (tfdv.load_stats_binary(path) for path in (self._before, self._after))
            statistics.write_before(self._job, before, self._options[0])
            statistics.write_after(self._job, after, self._options[1])


def _rows(
    job: Job, pipeline: Any, name: str, files: Any, columns: list[str], counts: bool = True
) -> Any:
    import apache_beam as beam
    import pyarrow

    from penstock.data.beam.watching import Watched

    schema = job.projected_schema(columns)
    payload_format = job.payload_format

    def read(file: str) -> Iterator[pyarrow.RecordBatch]:
        return read_rows([file], schema, payload_format)

    return (
        pipeline
        | f"Files[{name}]" >> beam.Create(list(files))
        # Without it one worker would read all files.
        | f"Spread[{name}]" >> beam.Reshuffle()
        | f"Rows[{name}]" >> beam.FlatMap(read).with_output_types(pyarrow.RecordBatch)
        | f"Watch[{name}]"
        >> Watched(job.graph_directory, pyarrow.RecordBatch, _row_count if counts else None)
    )


def _row_count(batch: Any) -> int:
    return int(batch.num_rows)


def _write(job: Job, split: str, batches: Any) -> None:
    import apache_beam as beam
    import tensorflow_transform as tft

    schema = tft.TFTransformOutput(job.graph_directory).transformed_metadata.schema

    def encode(batch: Any) -> list[bytes]:
        from tfx_bsl.coders.example_coder import RecordBatchToExamplesEncoder

        return RecordBatchToExamplesEncoder(schema).encode(batch)

    assert job.examples_directory is not None
    prefix = os.path.join(job.examples_directory, f"Split-{split}", "transformed_examples")
    _ = (
        batches
        | f"Encode[{split}]" >> beam.FlatMap(encode).with_output_types(bytes)
        | f"Write[{split}]" >> beam.io.WriteToTFRecord(prefix, file_name_suffix=".gz")
    )
