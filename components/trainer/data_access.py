"""Reading examples from within training code: TFX's data accessor, for Parquet files too."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from penstock.artifacts import Examples

if TYPE_CHECKING:
    import pyarrow
    import tensorflow
    from tensorflow_metadata.proto.v0 import schema_pb2
    from tfx.components.trainer.fn_args_utils import DataAccessor
    from tfx_bsl.tfxio.dataset_options import RecordBatchesOptions, TensorFlowDatasetOptions

_TELEMETRY = ["Trainer"]


def data_accessor(examples: Sequence[Examples]) -> DataAccessor:
    """Return the factories that read the artifacts' files, whatever their format is."""
    from tfx.components.trainer.fn_args_utils import DataAccessor
    from tfx.components.util import tfxio_utils

    artifacts = list(examples)
    records = tfxio_utils.get_tf_dataset_factory_from_artifact(artifacts, _TELEMETRY)
    batches = tfxio_utils.get_record_batch_factory_from_artifact(artifacts, _TELEMETRY)

    def tf_dataset(
        file_pattern: list[str],
        options: TensorFlowDatasetOptions,
        schema: schema_pb2.Schema | None = None,
    ) -> tensorflow.data.Dataset:
        files = _parquet_files(file_pattern)
        if files:
            return _parquet_dataset(files, options, schema)
        return records(file_pattern, options, schema)

    def record_batches(
        file_pattern: list[str],
        options: RecordBatchesOptions,
        schema: schema_pb2.Schema | None = None,
    ) -> Iterator[pyarrow.RecordBatch]:
        files = _parquet_files(file_pattern)
        if files:
            return _parquet_batches(files, options, schema)
        return batches(file_pattern, options, schema)

    return DataAccessor(
        tf_dataset_factory=tf_dataset,
        record_batch_factory=record_batches,
        data_view_decode_fn=tfxio_utils.get_data_view_decode_fn_from_artifact(
            artifacts, _TELEMETRY
        ),
    )


def _parquet_files(patterns: Sequence[str] | str) -> list[str]:
    patterns = [patterns] if isinstance(patterns, str) else patterns
    files = sorted(file for pattern in patterns for file in glob.glob(pattern))
    return [file for file in files if file.endswith(".parquet")]


def _parquet_batches(files: list[str], options: Any, schema: Any) -> Iterator[pyarrow.RecordBatch]:
    """Yield batches of `options.batch_size` rows, shuffled within windows of its buffer size."""
    import itertools

    import numpy
    import pyarrow

    from penstock.data.records import read_record_batches

    random = numpy.random.default_rng(options.shuffle_seed)
    window = max(options.shuffle_buffer_size if options.shuffle else 0, options.batch_size)
    drop_last = options.drop_final_batch or options.num_epochs is None
    epochs = itertools.count() if options.num_epochs is None else range(options.num_epochs)
    for _ in epochs:
        left = None
        for batch in read_record_batches(files, batch_rows=window, schema=schema):
            table = pyarrow.Table.from_batches([batch])
            if options.shuffle:
                table = table.take(random.permutation(table.num_rows))
            table = pyarrow.concat_tables([left, table]) if left else table
            whole = table.num_rows - table.num_rows % options.batch_size
            yield from _batches(table.slice(0, whole), options.batch_size)
            left = table.slice(whole)
        if left and not drop_last:
            yield from _batches(left, options.batch_size)


def _batches(table: pyarrow.Table, rows: int) -> Iterator[pyarrow.RecordBatch]:
    import numpy

    for start in range(0, table.num_rows, rows):
        # Copies: tensors cannot be made of slices.
        chosen = table.take(numpy.arange(start, min(start + rows, table.num_rows)))
        yield from chosen.combine_chunks().to_batches()


def _parquet_dataset(files: list[str], options: Any, schema: Any) -> tensorflow.data.Dataset:
    import tensorflow
    from tfx_bsl.tfxio import tf_example_record

    adapter = tf_example_record.TFExampleBeamRecord("parquet", schema=schema).TensorAdapter()

    def tensors() -> Iterator[Any]:
        for batch in _parquet_batches(files, options, schema):
            features = adapter.ToBatchTensors(batch, produce_eager_tensors=True)
            yield (features, features.pop(options.label_key)) if options.label_key else features

    types = dict(adapter.TypeSpecs())
    signature = (types, types.pop(options.label_key)) if options.label_key else types
    dataset = tensorflow.data.Dataset.from_generator(tensors, output_signature=signature)
    return dataset.prefetch(options.prefetch_buffer_size)
