"""The stages of CsvExampleGen beside their limits, and those of StatisticsGen.

A limit is what the bare library takes for the same bytes.

python build/benchmarks/stages.py [ROWS] [REPEATS]
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import google_crc32c
import pyarrow as pa
import pyarrow.csv
from medians import spread
from rides import write_rides

from penstock.data import csv, records, splits
from penstock.data.coding import examples
from penstock.data.csv_options import CsvOptions

BUCKETS = (2, 3)


def main() -> None:
    """Measure in turns and print a table."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 500_000
    repeats = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    source = write_rides(Path(tempfile.gettempdir(), "penstock-benchmark-data"), rows)
    measured = [_stages(str(source / "rides.csv")) for _ in range(repeats)]
    print(f"{rows:,} rows, one process, medians of {repeats}, seconds")
    print()
    print("| stage of CsvExampleGen | Penstock | limit | what the limit is |")
    print("|---|---|---|---|")
    for stage, (_, _, meaning) in measured[0].items():
        ours, limits = ([repeat[stage][which] for repeat in measured] for which in (0, 1))
        print(f"| {stage} | {spread(ours).shown(2)} | {spread(limits).shown(2)} | {meaning} |")
    described = [_statistics_stages(str(source / "rides.csv")) for _ in range(repeats)]
    print()
    print("| stage of StatisticsGen | seconds |")
    print("|---|---|")
    for stage in described[0]:
        print(f"| {stage} | {spread(repeat[stage] for repeat in described).shown(2)} |")


def _stages(path: str) -> dict[str, tuple[float, float, str]]:
    from tfx_bsl.coders.example_coder import RecordBatchToExamplesEncoder

    options = CsvOptions()
    columns, inferring = _timed(lambda: csv.infer_columns([path], options))
    batches, reading = _timed(lambda: list(csv.read_file(path, columns, options)))
    one_thread = pa.csv.ReadOptions(use_threads=False)
    _, parsing = _timed(lambda: pa.csv.read_csv(path, read_options=one_thread))
    lists = [examples.to_feature_lists(batch, null_as_empty=True) for batch in batches]
    encoder = RecordBatchToExamplesEncoder()
    _, encoding_limit = _timed(lambda: [encoder.encode(batch) for batch in lists])
    encoded, encoding = _timed(
        lambda: [examples.encode(batch, null_as_empty=True) for batch in batches]
    )
    parts, splitting = _timed(lambda: [splits.partition(each, each, BUCKETS) for each in encoded])
    joined = b"".join(record for each in encoded for record in each)
    _, hashing = _timed(lambda: hashlib.sha256(joined).digest())
    framed, framing = _timed(
        lambda: [records.frame_records(part) for each in parts for part in each]
    )
    _, checksum = _timed(lambda: google_crc32c.value(joined))
    with tempfile.TemporaryDirectory() as folder:
        target = os.path.join(folder, "records.gz")
        flat = [record for each in parts for part in each for record in part]
        _, writing = _timed(lambda: _written(target, flat))
        deflated, deflating = _timed(lambda: _deflated(framed))
        _, storing = _timed(lambda: Path(target).write_bytes(deflated))
    return {
        "infer types": (inferring, parsing, "Arrow's CSV reader with its own types, one thread"),
        "read and convert": (reading, parsing, "the same"),
        "encode as tf.Example": (encoding, encoding_limit, "tfx_bsl's C++ encoder"),
        "split": (splitting, hashing, "SHA-256 of all bytes at once"),
        "frame": (framing, checksum, "CRC-32C of all bytes at once"),
        "frame, compress and write": (writing, deflating + storing, "zlib level 1, and the disk"),
    }


def _statistics_stages(path: str) -> dict[str, float]:
    import tensorflow_data_validation as tfdv

    from penstock.components.statistics_gen import in_process

    with tempfile.TemporaryDirectory() as folder:
        file = os.path.join(folder, "records.gz")
        with records.TFRecordWriter(file) as writer:
            for batch in csv.read_csv([path]):
                writer.write_many(examples.encode(batch, null_as_empty=True))
        compressed = Path(file).read_bytes()
        _, inflating = _timed(lambda: zlib.decompress(compressed, 31))
        _, reading = _timed(lambda: sum(map(len, records.read_serialized_batches(file))))
        rows = in_process.BATCH_ROWS
        batches, decoding = _timed(lambda: list(records.read_record_batches(file, rows)))
    options = tfdv.StatsOptions()
    _, combining = _timed(lambda: in_process.statistics_of_batches(batches, options))
    return {
        "decompress, all at once": inflating,
        "decompress, find and check records, as bytes": reading,
        "decompress, find, check and decode, as Arrow": decoding,
        "TFDV's combiners": combining,
    }


def _timed(function: Callable[[], Any]) -> tuple[Any, float]:
    began = time.perf_counter()
    result = function()
    return result, time.perf_counter() - began


def _written(path: str, serialized: list[bytes]) -> None:
    with records.TFRecordWriter(path) as writer:
        writer.write_many(serialized)


def _deflated(pieces: Iterable[bytes]) -> bytes:
    deflate = zlib.compressobj(1, zlib.DEFLATED, 31)
    return b"".join([*map(deflate.compress, pieces), deflate.flush()])


if __name__ == "__main__":
    main()
