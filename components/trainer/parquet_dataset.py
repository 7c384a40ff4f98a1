"""Examples in Parquet files as record batches and as a tf.data dataset."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from penstock.components.trainer.record_dataset import window_rows
from penstock.errors import ParameterError, suggestion

if TYPE_CHECKING:
    import tensorflow
    from tensorflow_metadata.proto.v0 import schema_pb2
    from tfx_bsl.tfxio.dataset_options import RecordBatchesOptions, TensorFlowDatasetOptions

# Each element that Python hands to tf.data costs as much as hundreds of rows.
_WINDOW_ROWS = 8192
# Larger windows are put together of batches that are read.
_MOST_READ_ROWS = 65_536


def parquet_batches(
    files: Sequence[str], options: RecordBatchesOptions, schema: schema_pb2.Schema | None
) -> Iterator[pa.RecordBatch]:
    """Yield batches of `options.batch_size` rows, shuffled within windows of its buffer size."""
    random = np.random.default_rng(options.shuffle_seed)
    return _batches(_windows(files, options, schema, random), options)


def parquet_dataset(
    files: Sequence[str], options: TensorFlowDatasetOptions, schema: schema_pb2.Schema | None
) -> tensorflow.data.Dataset:
    """Return the batches that tfx_bsl gives of the same examples in TFRecord files.

    Rows are shuffled within windows of `shuffle_buffer_size`. A seed gives one order, and another
    one each time that the dataset is iterated.
    """
    import tensorflow
    from tfx_bsl.tfxio import tf_example_record

    adapter = tf_example_record.TFExampleBeamRecord("parquet", schema=schema).TensorAdapter()
    types = dict(adapter.TypeSpecs())
    if options.label_key is not None and options.label_key not in types:
        raise ParameterError(
            f"label_key: the schema has no feature {options.label_key!r}",
            hint=suggestion(options.label_key, types, noun="feature"),
        )
    is_dense = all(isinstance(kind, tensorflow.TensorSpec) for kind in types.values())
    # Made once, so that another iteration goes on with it.
    random = np.random.default_rng(options.shuffle_seed)

    def tensors() -> Iterator[Any]:
        # Only dense tensors are cut quickly; others come in batches of the size that is asked for.
        windows = _windows(files, options, schema, random)
        for batch in windows if is_dense else _batches(windows, options):
            # Dense tensors go to tf.data as NumPy's arrays in any case.
            features = adapter.ToBatchTensors(batch, produce_eager_tensors=not is_dense)
            yield (features, features.pop(options.label_key)) if options.label_key else features

    signature = (types, types.pop(options.label_key)) if options.label_key else types
    dataset = tensorflow.data.Dataset.from_generator(tensors, output_signature=signature)
    if is_dense:
        drop_last = options.drop_final_batch or options.num_epochs is None
        dataset = dataset.rebatch(options.batch_size, drop_remainder=drop_last)
    return dataset.prefetch(options.prefetch_buffer_size)


def _windows(
    files: Sequence[str], options: Any, schema: Any, random: np.random.Generator
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of all epochs in large batches, each in an order of its own on request."""
    from penstock.data.coding.required import with_required
    from penstock.data.records import read_record_batches

    window = _WINDOW_ROWS
    if options.shuffle:
        window = window_rows(options, sum(map(os.path.getsize, files)))

    def read(position: int) -> Iterator[pa.RecordBatch]:
        file = files[position]
        rows = read_record_batches(file, min(window, _MOST_READ_ROWS), schema=schema)
        return with_required(rows, schema, file)

    epochs = itertools.count() if options.num_epochs is None else range(options.num_epochs)
    for _ in epochs:
        order = random.permutation(len(files)) if options.shuffle else range(len(files))
        for batch in _recut(itertools.chain.from_iterable(map(read, order)), window):
            if options.shuffle:
                yield batch.take(pa.array(random.permutation(batch.num_rows)))
            else:
                yield batch


def _batches(windows: Iterable[pa.RecordBatch], options: Any) -> Iterator[pa.RecordBatch]:
    drop_last = options.drop_final_batch or options.num_epochs is None
    for batch in _recut(windows, options.batch_size):
        if batch.num_rows == options.batch_size or not drop_last:
            yield batch


def _recut(batches: Iterable[pa.RecordBatch], rows: int) -> Iterator[pa.RecordBatch]:
    """Yield batches of so many rows; the last may be shorter."""
    waiting: list[pa.RecordBatch] = []
    waiting_rows = 0
    for batch in batches:
        waiting.append(batch)
        waiting_rows += batch.num_rows
        if waiting_rows < rows:
            continue
        table = pa.Table.from_batches(waiting)
        whole = waiting_rows - waiting_rows % rows
        for start in range(0, whole, rows):
            yield from _copied(table, start, start + rows)
        waiting = table.slice(whole).to_batches()
        waiting_rows -= whole
    if waiting_rows:
        yield from _copied(pa.Table.from_batches(waiting), 0, waiting_rows)


def _copied(table: pa.Table, start: int, stop: int) -> list[pa.RecordBatch]:
    # Tensors cannot be made of slices.
    return table.take(np.arange(start, stop)).combine_chunks().to_batches()
