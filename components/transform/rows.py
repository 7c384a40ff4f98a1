"""Reading raw rows for a Transform, as Arrow record batches of its schema."""

from __future__ import annotations

import hashlib
import itertools
import os
import uuid
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from penstock.components.transform.job import SEQUENCE_EXAMPLES, Job

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
    """Yield the rows of the files as batches that have exactly the columns of the schema.

    Raises:
      DataError: a file cannot be read, or a row lacks a feature that the schema says it has.
    """
    from penstock.data.coding.required import with_required
    from penstock.data.records import read_record_batches, read_serialized

    if not files:
        return
    if payload_format != SEQUENCE_EXAMPLES:
        for file in files:
            batches = read_record_batches(file, batch_rows=batch_rows, schema=schema)
            yield from with_required(batches, schema, file)
        return
    from tfx_bsl.coders.sequence_example_coder import SequenceExamplesToRecordBatchDecoder

    decoder = SequenceExamplesToRecordBatchDecoder(SEQUENCE_COLUMN, schema.SerializeToString())
    records = read_serialized(files)
    while batch := list(itertools.islice(records, batch_rows)):
        yield decoder.DecodeBatch(batch)


def raw_rows(
    job: Job, columns: Sequence[str]
) -> Callable[[Sequence[str]], Iterator[pyarrow.RecordBatch]]:
    """Return what reads files: batches of at least the columns of these tensors.

    For as long as the job's temporary directory is there, a file is decoded only once.
    """
    if job.payload_format == SEQUENCE_EXAMPLES:
        schema = job.projected_schema(columns)
        return partial(read_rows, schema=schema, payload_format=job.payload_format)
    if job.examples_directory is not None or job.statistics is not None:
        columns = job.columns.used
    directory = os.path.join(job.temporary_directory, "rows")
    return KeptRows(directory, job.projected_schema(columns), job.payload_format).read


# Decoded rows of a file that take more space than this are not kept.
_KEPT_BYTES = 2 << 30


class KeptRows:
    """Raw rows of tf.Example files, each of which is decoded once.

    The first to read a file keeps its batches in `directory` for those who read it again.
    """

    def __init__(self, directory: str, schema: schema_pb2.Schema, payload_format: str) -> None:
        self._directory = directory
        self._schema = schema
        self._payload_format = payload_format

    def read(self, files: Sequence[str]) -> Iterator[pyarrow.RecordBatch]:
        """Yield the rows of the files."""
        import pyarrow

        for file in files:
            kept = os.path.join(self._directory, hashlib.sha256(file.encode()).hexdigest())
            if os.path.exists(kept):
                with pyarrow.OSFile(kept) as source, pyarrow.ipc.open_stream(source) as batches:
                    yield from batches
            else:
                yield from self._keep(file, kept)

    def _keep(self, file: str, kept: str) -> Iterator[pyarrow.RecordBatch]:
        import pyarrow

        os.makedirs(self._directory, exist_ok=True)
        # Each of two processes has its own that read the file at once.
        part = f"{kept}.{uuid.uuid4().hex}"
        sink = pyarrow.OSFile(part, "wb")
        writer, size, whole = None, 0, False
        try:
            for batch in read_rows([file], self._schema, self._payload_format):
                writer = writer or pyarrow.ipc.new_stream(sink, batch.schema)
                size += batch.nbytes
                if size <= _KEPT_BYTES:
                    writer.write_batch(batch)
                yield batch
            whole = writer is not None and size <= _KEPT_BYTES
        finally:
            if writer is not None:
                writer.close()
            sink.close()
            if whole:
                os.rename(part, kept)
            else:
                os.remove(part)
