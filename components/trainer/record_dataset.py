"""tf.Examples in TFRecord files as a tf.data dataset that keeps a small model's steps busy.

Records are read in blocks, shuffled while they are still serialized, and parsed some thousands at
a time: what tf.data costs an element is paid once for many rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import tensorflow
    from tensorflow_metadata.proto.v0 import schema_pb2
    from tfx_bsl.tfxio.dataset_options import TensorFlowDatasetOptions

# Files take turns by blocks of so many records.
_BLOCK_ROWS = 256
# A number of its own, not of the machine's processors: a seed gives one order everywhere.
_FILES_AT_ONCE = 8
# Parsing is no faster with more rows, and what waits takes more memory.
_PARSED_ROWS = 8192
_READ_BYTES = 1 << 20
# Files of no more bytes, which are mostly compressed, are shuffled as a whole.
_SHUFFLED_BYTES = 16 << 20
_ALL_ROWS = 1 << 31


@dataclass(frozen=True)
class Parsing:
    """What `tf.io.parse_example` is told, and the names of the tensors that its keys become."""

    features: dict[str, Any]
    names: dict[str, str]

    @property
    def is_dense(self) -> bool:
        """Whether all features are dense tensors, which alone are cut quickly."""
        import tensorflow

        kinds = self.features.values()
        return all(isinstance(kind, tensorflow.io.FixedLenFeature) for kind in kinds)

    def parse(self, records: Any) -> dict[str, Any]:
        """Return the tensors of serialized tf.Examples."""
        import tensorflow

        parsed = tensorflow.io.parse_example(records, self.features)
        for tensor in parsed.values():
            if isinstance(tensor, tensorflow.SparseTensor):
                # The number of rows, where it is known, is lost on the way to these alone.
                tensor.set_shape(records.shape.concatenate(tensor.shape[1:]))
        return {self.names[key]: tensor for key, tensor in parsed.items()}


def parsing(schema: schema_pb2.Schema) -> Parsing | None:
    """Return how tfx_bsl parses tf.Examples of a schema.

    None where two tensors would be parsed from one feature, for which tfx_bsl has an error.
    """
    import tensorflow
    from tfx_bsl.tfxio import tensor_representation_util as representations

    types = {feature.name: feature.type for feature in schema.feature}
    features: dict[str, Any] = {}
    names: dict[str, str] = {}
    described = representations.InferTensorRepresentationsFromMixedSchema(schema)
    for name, representation in described.items():
        column = representations.GetSourceValueColumnFromTensorRepresentation(representation)
        source = column.initial_step()
        kind = representations.CreateTfExampleParserConfig(representation, types[source])
        # These name their features themselves, and their keys must not be those of others.
        named = isinstance(kind, tensorflow.io.SparseFeature | tensorflow.io.RaggedFeature)
        key = f"_tensor_{name}_{source}" if named else source
        if key in features:
            return None
        features[key], names[key] = kind, name
    return Parsing(features, names)


def record_dataset(
    file_pattern: Sequence[str] | str, options: TensorFlowDatasetOptions, how: Parsing
) -> tensorflow.data.Dataset:
    """Return the batches that tfx_bsl's `TFExampleRecord.TensorFlowDataset` gives.

    Rows are shuffled within windows of `window_rows`, which are filled from several files in turns
    and do not reach from one epoch into the next. A seed gives one order on every
    machine, and another order each time that the dataset is iterated.
    """
    import tensorflow

    rows = options.batch_size
    # TFX's: batches of endless data have a size that is known beforehand.
    drop_last = options.drop_final_batch or options.num_epochs is None
    records = _blocks(file_pattern, options)
    if options.shuffle:
        records = _shuffled(records, options, window_rows(options, _bytes_of(file_pattern)))
    elif options.num_epochs != 1:
        records = records.repeat(options.num_epochs)

    parsed_rows = rows * max(1, _PARSED_ROWS // rows) if how.is_dense else rows
    # The same size as in the end: nothing is left over when what is parsed is cut.
    dataset = records.rebatch(parsed_rows, drop_remainder=drop_last and not how.is_dense)
    dataset = dataset.map(how.parse, num_parallel_calls=options.parser_num_threads)
    if how.is_dense:
        dataset = dataset.rebatch(rows, drop_remainder=drop_last)
    if options.label_key is not None:
        dataset = dataset.map(lambda features: _with_label(features, options.label_key))
    settings = tensorflow.data.Options()
    settings.deterministic = not options.sloppy_ordering
    return dataset.with_options(settings).prefetch(options.prefetch_buffer_size)


def _blocks(file_pattern: Any, options: Any) -> tensorflow.data.Dataset:
    """Return the serialized records of one epoch, in blocks of some rows."""
    import tensorflow
    from tfx_bsl.tfxio import dataset_util

    patterns = tensorflow.convert_to_tensor(file_pattern)
    compression = dataset_util.detect_compression_type(patterns)
    files = tensorflow.data.Dataset.list_files(
        patterns, shuffle=options.shuffle, seed=options.shuffle_seed
    )

    def read(file: Any) -> tensorflow.data.Dataset:
        records = tensorflow.data.TFRecordDataset(file, compression, buffer_size=_READ_BYTES)
        return records.batch(_BLOCK_ROWS)

    return files.interleave(
        read,
        cycle_length=max(_FILES_AT_ONCE, options.reader_num_threads or 1),
        num_parallel_calls=options.reader_num_threads,
    )


def window_rows(options: Any, file_bytes: int) -> int:
    """Return how many rows are shuffled together, of files of so many bytes.

    Where nobody asked for a number, and files are small, all are: they may be sorted by the label,
    and of a window of neighbors nothing but their own labels is learned.
    """
    from tfx_bsl.tfxio.dataset_options import TensorFlowDatasetOptions

    usual = TensorFlowDatasetOptions(batch_size=1).shuffle_buffer_size
    if options.shuffle_buffer_size == usual and file_bytes <= _SHUFFLED_BYTES:
        return _ALL_ROWS
    return int(options.shuffle_buffer_size)


def _bytes_of(file_pattern: Any) -> int:
    """Return the bytes of files, which may be in an object store."""
    import tensorflow

    files = tensorflow.io.gfile.glob(file_pattern)
    return sum(tensorflow.io.gfile.stat(file).length for file in files)


def _shuffled(blocks: Any, options: Any, rows: int) -> tensorflow.data.Dataset:
    """Return windows of the records of all epochs, each in an order of its own."""
    import tensorflow

    windows = blocks.rebatch(rows)
    if options.num_epochs != 1:
        windows = windows.repeat(options.num_epochs)
    seeds = tensorflow.data.Dataset.random(options.shuffle_seed, rerandomize_each_iteration=True)
    return tensorflow.data.Dataset.zip(windows, seeds.batch(2)).map(
        tensorflow.random.experimental.stateless_shuffle
    )


def _with_label(features: dict[str, Any], label_key: str) -> tuple[dict[str, Any], Any]:
    rest = dict(features)
    label = rest.pop(label_key)
    return rest, label
