"""Transform in this process: the finished graph is applied to Arrow batches directly."""

from __future__ import annotations

import functools
import os
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from penstock.authoring.beam import BeamOptions
from penstock.components.transform import analysis, interpreter
from penstock.components.transform.job import SEQUENCE_EXAMPLES, Job, shard_path
from penstock.components.transform.rows import raw_rows
from penstock.components.transform.statistics import (
    collecting,
    options_after,
    options_before,
    write_after,
    write_before,
)
from penstock.data.coding.columns import select
from penstock.data.coding.examples import encode
from penstock.data.coding.nonfinite import NonFinite
from penstock.data.parallel.choosing import workers_ahead
from penstock.data.parallel.file_groups import file_bytes
from penstock.data.parallel.processes import Advance
from penstock.data.parallel.rows_done import RowsDone
from penstock.data.parallel.workers import Workers
from penstock.data.records import TFRecordWriter
from penstock.errors import UserCodeError

if TYPE_CHECKING:
    import pyarrow
    from tensorflow_data_validation import StatsOptions
    from tensorflow_metadata.proto.v0 import schema_pb2

    from penstock.components.statistics_gen.in_process import Accumulators

# Compressed input per output file; several files let training read in parallel.
_SHARD_BYTES = 8 << 20


def transform(job: Job, beam: BeamOptions) -> None:
    """Write the TransformGraph, then the transformed examples and statistics that are asked for."""
    with _workers(job, beam) as workers:
        _analyze(job, workers)
        _apply(job, workers)


def _workers(job: Job, beam: BeamOptions) -> Workers:
    files = {
        file for of in (job.analyze_files, job.transform_files) for file in chain(*of.values())
    }
    return workers_ahead(beam.cluster, sum(map(file_bytes, files)))


def _analyze(job: Job, workers: Workers) -> None:
    """Write the TransformGraph, and the analyzer cache if it is asked for.

    Code without analyzers needs no data. tf.Transform's Beam transforms do what is not done here.
    """
    analysis.write_raw_metadata(job)
    if not job.columns.analyzed:
        analysis.analyze_without_data(job)
        return
    temporary = os.path.join(job.temporary_directory, "analysis")
    reason = interpreter.analyze(job, temporary, workers)
    shutil.rmtree(temporary, ignore_errors=True)
    if reason:
        print(f"Analyzing with Apache Beam, which takes longer: {reason}.")
        analysis.analyze_on_beam(job, BeamOptions().pipeline())
    else:
        analysis.keep_cache(job)


def _apply(job: Job, workers: Workers) -> None:
    """Write the transformed examples and the statistics, as far as they are asked for.

    Each file that is written is a part of the work; what comes of the parts is put together in
    their order, so that nothing depends on who does them.
    """
    if job.examples_directory is None and job.statistics is None:
        return
    done = RowsDone(job.progress)
    before = after = None
    if job.statistics is not None:
        from penstock.components.statistics_gen.in_process import Merging

        before, after = Merging(options_before(job)), Merging(options_after(job))
    parts = list(_parts(job))
    work = Application(job.for_workers(), before and before.options, after and after.options)
    not_finite: dict[str, NonFinite] = {}
    results = workers.map(work, parts, named=_Part.described, advance=done.add)
    for part, applied in zip(parts, results, strict=True):
        if part.is_transformed:
            not_finite.setdefault(part.split, NonFinite()).merge(applied.not_finite)
        if before is not None and after is not None:
            before.add(applied.before or {})
            after.add(applied.after or {})
    for split, found in not_finite.items():
        for text in found.described():
            print(f"After the transformation, {text} of split {split!r}.")
    if before is not None and after is not None:
        write_before(job, before.statistics(), before.options)
        write_after(job, after.statistics(), after.options)


@dataclass(frozen=True)
class _Part:
    """Files of a split, whose rows are written as one file of `shards`.

    They are described too, before the transformation, where `is_described`; those that are not
    transformed are for nothing else.
    """

    split: str
    files: Sequence[str]
    shard: int
    shards: int
    is_transformed: bool
    is_described: bool

    def described(self) -> str:
        """Return what a worker does with them."""
        return f"transform part {self.shard + 1} of {self.shards} of the split {self.split}"


def _parts(job: Job) -> Iterator[_Part]:
    for split, files in job.transform_files.items():
        shards = min(len(files), 1 + sum(map(os.path.getsize, files)) // _SHARD_BYTES) or 1
        for shard in range(shards):
            # One after the other, so that rows keep their order.
            mine = files[len(files) * shard // shards : len(files) * (shard + 1) // shards]
            is_described = job.statistics is not None and split in job.pre_statistics_files
            yield _Part(split, mine, shard, shards, True, is_described)
    if job.statistics is not None:
        for split, files in job.pre_statistics_files.items():
            if split not in job.transform_files:
                yield _Part(split, files, 0, 1, is_transformed=False, is_described=True)


@dataclass(frozen=True)
class Applied:
    """What is left of the rows of a part: accumulators of statistics, where they are asked for."""

    not_finite: NonFinite
    before: Accumulators | None
    after: Accumulators | None


@dataclass(frozen=True)
class Application:
    """The work on a part; `before` and `after` are options of the statistics, if asked for."""

    job: Job
    before: StatsOptions | None
    after: StatsOptions | None

    @functools.cached_property
    def _transform(self) -> Callable[[pyarrow.RecordBatch], pyarrow.RecordBatch]:
        return graph_function(self.job)

    @functools.cached_property
    def _read(self) -> Callable[[Sequence[str]], Iterable[pyarrow.RecordBatch]]:
        return raw_rows(self.job, _columns(self.job))

    def __call__(self, part: _Part, advance: Advance) -> Applied:
        """Transform the rows of a part, write them, and describe them before and after that."""
        not_finite = NonFinite()
        options = (
            self.before if part.is_described else None,
            self.after if part.is_transformed else None,
        )
        with collecting(options) as (before, after), ExitStack() as stack:
            write = _writer(self.job, part, stack) if part.is_transformed else None
            for batch in self._read(part.files):
                if before is not None:
                    before.add(batch)
                if write is not None:
                    transformed = self._transform(batch)
                    write(transformed)
                    not_finite.add(transformed)
                    if after is not None:
                        after.add(transformed)
                    advance(batch.num_rows)
            described = [None if one is None else one.finish() for one in (before, after)]
        return Applied(not_finite, *described)


def _columns(job: Job) -> list[str]:
    return job.columns.used if job.statistics else job.columns.transformed


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


def _writer(job: Job, part: _Part, stack: ExitStack) -> Callable[[pyarrow.RecordBatch], None]:
    """Return a function that writes batches to the file of a part, which appears at the end."""
    import tensorflow_transform as tft
    from tfx_bsl.coders.example_coder import RecordBatchToExamplesEncoder

    if job.examples_directory is None:
        return lambda _: None
    schema = tft.TFTransformOutput(job.graph_directory).transformed_metadata.schema
    # The features of a ragged output have other names than it, which tfx_bsl's encoder knows.
    encoded = RecordBatchToExamplesEncoder(schema).encode if _has_ragged(schema) else encode
    path = shard_path(job.examples_directory, part.split, part.shard, part.shards)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    aside = os.path.join(
        job.temporary_directory, "written", uuid.uuid4().hex, os.path.basename(path)
    )
    os.makedirs(os.path.dirname(aside))

    def appear(error: type[BaseException] | None, *_: object) -> None:
        if error is None:
            os.replace(aside, path)

    stack.push(appear)
    writer = stack.enter_context(TFRecordWriter(aside))
    return lambda batch: writer.write_many(encoded(batch))
