"""The rows that statistics are computed of: which are read, and which of them are looked at."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from penstock.components.statistics_gen.feature_kinds import Kinds, watched
from penstock.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

# Large enough for TFDV's vectorised kernels, small enough for a few megabytes a batch.
BATCH_ROWS = 20_000

# The payload formats of TFX that hold features; the others are records of a type unknown here.
PAYLOAD_FORMATS = ("FORMAT_TF_EXAMPLE", "FORMAT_TF_SEQUENCE_EXAMPLE", "FORMAT_PARQUET")

# The name that tfx_bsl and TFDV give to the sequence part of a tf.SequenceExample.
_SEQUENCE_COLUMN = "##SEQUENCE##"


def check_payload_format(payload_format: str) -> None:
    """Raise DataError on a payload that has no features to describe."""
    if payload_format not in PAYLOAD_FORMATS:
        raise DataError(
            f"expected examples with the payload {', '.join(PAYLOAD_FORMATS)}, "
            f"but it is {payload_format}",
            hint="Write them as tf.Example with an example generator.",
        )


def read_batches(
    files: Sequence[str],
    payload_format: str,
    features: Sequence[str] | None = None,
    kinds: Kinds | None = None,
) -> Iterator[pa.RecordBatch]:
    """Read the rows of a split's files as TFDV wants them: columns of lists.

    Only these features are decoded, where some are named. What they hold is noted in `kinds`.

    Raises:
      DataError: a file cannot be read, or a feature holds another kind of values than before.
    """
    if payload_format == "FORMAT_TF_SEQUENCE_EXAMPLE":
        yield from _read_sequence_examples(files)
        return
    from penstock.data.records import read_record_batches

    columns = list(features) if features else None
    for file in files:
        batches = read_record_batches(file, BATCH_ROWS, columns=columns, absent=False)
        yield from watched(batches, file, kinds if kinds is not None else {})


def _read_sequence_examples(files: Sequence[str]) -> Iterator[pa.RecordBatch]:
    from tfx_bsl.coders.sequence_example_coder import SequenceExamplesToRecordBatchDecoder

    from penstock.data.records import read_serialized

    decoder = SequenceExamplesToRecordBatchDecoder(_SEQUENCE_COLUMN)
    records = read_serialized(files)
    while batch := list(itertools.islice(records, BATCH_ROWS)):
        yield decoder.DecodeBatch(batch)


def sampled(
    batches: Iterable[pa.RecordBatch], rate: float, seed_text: str = ""
) -> Iterator[pa.RecordBatch]:
    """Keep each row with probability `rate`; equal seeds keep equal rows."""
    import numpy as np
    import pyarrow as pa

    generator = np.random.default_rng(zlib.crc32(seed_text.encode()))
    for batch in batches:
        if rate >= 1.0:
            yield batch
            continue
        kept = np.flatnonzero(generator.random(batch.num_rows) < rate)
        table = pa.Table.from_batches([batch]).take(pa.array(kept)).combine_chunks()
        yield from table.to_batches()
