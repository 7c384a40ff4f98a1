"""Transform in this process: the finished graph is applied to Arrow batches directly."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from penstock.authoring.beam import BeamOptions
from penstock.components.transform import analysis, interpreter
from penstock.components.transform.job import SEQUENCE_EXAMPLES, Job, shard_path
from penstock.components.transform.rows import raw_rows
from penstock.components.transform.statistics import Collector, collecting
from penstock.data.coding.columns import select
from penstock.data.coding.examples import encode
from penstock.data.coding.nonfinite import NonFinite
from penstock.data.records import TFRecordWriter
from penstock.errors import UserCodeError

if TYPE_CHECKING:
    import pyarrow
    from tensorflow_metadata.proto.v0 import schema_pb2

# Compressed input per output file; several files let training read in parallel.
_SHARD_BYTES = 64 * 2**20


def analyze(job: Job, beam: BeamOptions) -> None:
    """Write the TransformGraph, and the analyzer cache if it is asked for.

    Code without analyzers needs no data. tf.Transform's Beam transforms do what is not done here.
    """
    del beam
    analysis.write_raw_metadata(job)
    if not job.columns.analyzed:
        analysis.analyze_without_data(job)
        return
    temporary = os.path.join(job.temporary_directory, "analysis")
    reason = interpreter.analyze(job, temporary)
    shutil.rmtree(temporary, ignore_errors=True)
    if reason:
        print(f"Analyzing with Apache Beam, which takes longer: {reason}.")
        analysis.analyze_on_beam(job, BeamOptions().pipeline())
    else:
        analysis.keep_cache(job)


def apply(job: Job, beam: BeamOptions) -> None:
    """Write the transformed examples and the statistics, as far as they are asked for."""
    del beam
    if job.examples_directory is None and job.statistics is None:
        return
    rows = 0
    transform, read = graph_function(job), raw_rows(job, _columns(job))
    with collecting(job) as collectors:
        for split, files in job.transform_files.items():
            watched = collectors if split in job.pre_statistics_files else None
            not_finite = NonFinite()
            with ExitStack() as stack:
                write = _writer(job, split, files, stack)
                for batch in read(files):
                    transformed = transform(batch)
                    write(transformed)
                    not_finite.add(transformed)
                    if watched:
                        watched[0].add(batch)
                    if collectors:
                        collectors[1].add(transformed)
                    rows += batch.num_rows
                    job.progress(rows=rows)
            for text in not_finite.described():
                print(f"After the transformation, {text} of split {split!r}.")
        if collectors:
            _collect_rest(job, collectors[0])


def _columns(job: Job) -> list[str]:
    return job.columns.used if job.statistics else job.columns.transformed


def _collect_rest(job: Job, before: Collector) -> None:
    """Hand over the rows of splits that are analyzed and not transformed."""
    read = raw_rows(job, _columns(job))
    for split, files in job.pre_statistics_files.items():
        if split not in job.transform_files:
            for batch in read(files):
                before.add(batch)


def graph_function(job: Job) -> Callable[[pyarrow.RecordBatch], pyarrow.RecordBatch]:
    """Return a function that applies the graph to a batch of raw rows."""
    import tensorflow
    import tensorflow_transform as tft
    from tensorflow_transform import impl_helper
    from tensorflow_transform.saved.saved_transform_io_v2 import SavedModelLoader

    output = tft.TFTransformOutput(job.graph_directory)
    loader = SavedModelLoader(output.transform_savedmodel_dir)
    converter = impl_helper.make_tensor_to_arrow_converter(output.transformed_metadata.schema)
    needed = job.columns.transformed
    # The parts of a tf.SequenceExample are in one column, which is not taken apart again.
    together = job.payload_format == SEQUENCE_EXAMPLES
    tfxio = job.tfxio().Project(_columns(job) if together else needed)
    adapter, names = tfxio.TensorAdapter(), tfxio.TensorAdapterConfig().arrow_schema.names
    loader.finalize(needed, list(loader.structured_outputs))

    def transform(batch: pyarrow.RecordBatch) -> pyarrow.RecordBatch:
        tensors = adapter.ToBatchTensors(select(batch, names), produce_eager_tensors=True)
        try:
            features = loader.apply_transform_model({name: tensors[name] for name in needed})
        except tensorflow.errors.OpError as error:
            raise UserCodeError(
                f"the transformation failed on a batch of {batch.num_rows} rows: {error.message}",
                hint="An operation of preprocessing_fn cannot take these values.",
            ) from error
        return converter.convert(features)

    return transform


def _has_ragged(schema: schema_pb2.Schema) -> bool:
    return any(
        representation.HasField("ragged_tensor")
        for group in schema.tensor_representation_group.values()
        for representation in group.tensor_representation.values()
    )


def _writer(
    job: Job, split: str, files: Sequence[str], stack: ExitStack
) -> Callable[[pyarrow.RecordBatch], None]:
    """Return a function that writes batches to a split's files by turns."""
    import tensorflow_transform as tft
    from tfx_bsl.coders.example_coder import RecordBatchToExamplesEncoder

    if job.examples_directory is None:
        return lambda _: None
    schema = tft.TFTransformOutput(job.graph_directory).transformed_metadata.schema
    # The features of a ragged output have other names than it, which tfx_bsl's encoder knows.
    encoded = RecordBatchToExamplesEncoder(schema).encode if _has_ragged(schema) else encode
    shards = min(len(files), 1 + sum(os.path.getsize(file) for file in files) // _SHARD_BYTES) or 1
    paths = [shard_path(job.examples_directory, split, n, shards) for n in range(shards)]
    os.makedirs(os.path.dirname(paths[0]), exist_ok=True)
    writers: list[Any] = [stack.enter_context(TFRecordWriter(path)) for path in paths]

    def write(batch: pyarrow.RecordBatch) -> None:
        writers.append(writers.pop(0))
        writers[-1].write_many(encoded(batch))

    return write
