"""Evaluation on an Apache Beam runner, by TensorFlow Model Analysis' own transforms."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from penstock.authoring.beam import BeamOptions
from penstock.components.evaluator.job import Job, read_batches, read_records


def evaluate(job: Job, beam: BeamOptions) -> None:
    """Write TFMA's evaluation of the job into its directory."""
    import apache_beam
    import tensorflow_model_analysis as tfma

    with beam.pipeline(job.progress) as pipeline:
        _ = (
            pipeline
            | "Files" >> _files(job)
            # Without it one worker would read all files.
            | "Spread" >> apache_beam.Reshuffle()
            | "Read" >> _read(job)
            | "Watch" >> _watched(job)
            | "ExtractEvaluateAndWriteResults"
            >> tfma.ExtractEvaluateAndWriteResults(
                eval_shared_model=job.model_or_models,
                eval_config=job.eval_config,
                extractors=job.extractors(),
                output_path=job.output_directory,
                tensor_adapter_config=job.tensor_adapter_config(),
                schema=job.schema,
            )
        )


def _files(job: Job) -> Any:
    import apache_beam

    return apache_beam.Create(list(job.files))


def _read(job: Job) -> Any:
    import apache_beam
    import pyarrow
    import tensorflow_model_analysis as tfma

    schema = job.schema

    def batches(file: str) -> Iterator[pyarrow.RecordBatch]:
        return read_batches(file, schema)

    def records(file: str) -> Iterator[bytes]:
        for batch in read_records(file):
            yield from batch

    if tfma.is_batched_input(job.model_or_models, job.eval_config):
        return apache_beam.FlatMap(batches).with_output_types(pyarrow.RecordBatch)
    return apache_beam.FlatMap(records).with_output_types(bytes)


def _watched(job: Job) -> Any:
    import pyarrow
    import tensorflow_model_analysis as tfma

    from penstock.data.beam.watching import Watched

    folder = job.output_directory
    if tfma.is_batched_input(job.model_or_models, job.eval_config):
        return Watched(folder, pyarrow.RecordBatch, lambda batch: int(batch.num_rows))
    return Watched(folder, bytes, lambda _: 1)
