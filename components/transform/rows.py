"""Reading raw rows for a Transform, as Arrow record batches of its schema."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from penstock.components.transform.job import SEQUENCE_EXAMPLES

if TYPE_CHECKING:
    import pyarrow
    from tensorflow_metadata.proto.v0 import schema_pb2

# Larger batches do not make the graph faster and need more memory.
BATCH_ROWS = 10_000

# The column that tfx_bsl makes of the feature lists of a tf.SequenceExample.
SEQUENCE_COLUMN = "##SEQUENCE##"


def read_rows(
    files: Sequence[str],
    schema: schema_pb2.Schema,
    payload_format: str,
    batch_rows: int = BATCH_ROWS,
) -> Iterator[pyarrow.RecordBatch]:
    """Yield the rows of the files as batches that have exactly the columns of the schema."""
    from penstock.data.records import read_record_batches, read_serialized

    if not files:
        return
    if payload_format != SEQUENCE_EXAMPLES:
        yield from read_record_batches(files, batch_rows=batch_rows, schema=schema)
        return
    from tfx_bsl.coders.sequence_example_coder import SequenceExamplesToRecordBatchDecoder

    decoder = SequenceExamplesToRecordBatchDecoder(SEQUENCE_COLUMN, schema.SerializeToString())
    records = read_serialized(files)
    while batch := list(itertools.islice(records, batch_rows)):
        yield decoder.DecodeBatch(batch)
