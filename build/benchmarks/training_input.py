"""Rows a second of what feeds training: tfx_bsl's dataset, Penstock's, and plain tf.data.

python training_input.py [ROWS] [DATA_FOLDER]

Prints a Markdown table of medians of three, with their spread. The ways take turns, so that
other work on the machine meets them all alike.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from both_pipelines import LABEL
from rides import rides

from penstock.data.ingestion import Destination
from penstock.data.payload import PayloadFormat
from penstock.data.writing import SplitsWriter

REPEATS = 3
BATCH_SIZE = 256
FORMATS = ("FORMAT_TF_EXAMPLE", "FORMAT_PARQUET")


@dataclass(frozen=True)
class Way:
    """One way to read the rows: its name, whether it shuffles, and how its dataset is made."""

    name: str
    shuffles: bool
    dataset: Callable[[], Any]


def write_transformed(folder: Path, rows: int) -> None:
    """Write rides as Transform leaves them, each feature with one value, in both formats."""
    table = _transformed(rides(rows))
    for name in FORMATS:
        to = Destination(str(folder / name), ("train",), (), None, PayloadFormat[name])
        with SplitsWriter(to) as writer:
            for batch in table.to_batches(max_chunksize=10_000):
                writer.write_batch(batch, "train")


def _transformed(table: pa.Table) -> pa.Table:
    columns = {}
    for name in table.column_names:
        column = table[name].combine_chunks()
        if pa.types.is_string(column.type):
            # Vocabularies and buckets leave small integers.
            column = column.dictionary_encode().indices.cast(pa.int64())
        elif pa.types.is_floating(column.type):
            column = column.cast(pa.float32())
        columns[name] = pc.fill_null(column, pa.scalar(0, column.type))
    return pa.table(columns)


def ways(folder: Path) -> Iterator[Way]:
    """Yield the ways to read what `write_transformed` has left in a folder."""
    import pyarrow.parquet
    import tensorflow as tf
    from tensorflow_metadata.proto.v0 import schema_pb2
    from tfx_bsl.tfxio.dataset_options import TensorFlowDatasetOptions
    from tfx_bsl.tfxio.tf_example_record import TFExampleRecord

    from penstock.components.trainer import parquet_dataset, record_dataset

    [records] = map(str, (folder / FORMATS[0] / "Split-train").iterdir())
    [parquet] = map(str, (folder / FORMATS[1] / "Split-train").iterdir())
    schema = schema_pb2.Schema()
    for field in pyarrow.parquet.ParquetFile(parquet).schema_arrow:
        kind = "INT" if pa.types.is_integer(field.type) else "FLOAT"
        feature = schema.feature.add(name=field.name, type=kind)
        feature.shape.dim.add(size=1)
        feature.presence.min_fraction = 1
    parsing = record_dataset.parsing(schema)
    if parsing is None:
        raise SystemExit("expected a schema that tf.io.parse_example can follow")

    def with_label(serialized: Any) -> Any:
        features = tf.io.parse_example(serialized, parsing.features)
        return features, features.pop(LABEL)

    def plain() -> Any:
        dataset = tf.data.TFRecordDataset(records, "GZIP").batch(BATCH_SIZE)
        return dataset.map(with_label)

    def parallel(shuffles: bool) -> Any:
        dataset = tf.data.TFRecordDataset(records, "GZIP")
        dataset = (dataset.shuffle(10_000) if shuffles else dataset).batch(BATCH_SIZE)
        return dataset.map(with_label, num_parallel_calls=tf.data.AUTOTUNE).prefetch(
            tf.data.AUTOTUNE
        )

    for shuffles in (False, True):
        options = TensorFlowDatasetOptions(
            BATCH_SIZE, num_epochs=1, shuffle=shuffles, label_key=LABEL
        )
        source = TFExampleRecord([records], schema=schema, telemetry_descriptors=["benchmark"])
        yield Way("tfx_bsl, TFRecord", shuffles, lambda o=options, s=source: s.TensorFlowDataset(o))
        if not shuffles:
            yield Way("tf.data, written plainly", False, plain)
        yield Way(
            "tf.data, parsing in parallel",
            shuffles,
            lambda s=shuffles: parallel(s),
        )
        yield Way(
            "Penstock, TFRecord",
            shuffles,
            lambda o=options: record_dataset.record_dataset([records], o, parsing),
        )
        yield Way(
            "Penstock, Parquet",
            shuffles,
            lambda o=options: parquet_dataset.parquet_dataset([parquet], o, schema),
        )


def iterate(dataset: Any) -> None:
    """Take all batches, and do nothing with them."""
    for _ in dataset:
        pass


def fit() -> Callable[[Any], None]:
    """Return a function that fits a small model on a dataset."""
    import keras
    import tensorflow as tf

    model = keras.Sequential([keras.layers.Dense(16, activation="relu"), keras.layers.Dense(1)])
    model.compile(optimizer="sgd", loss="mse")

    def numbers(features: Any, label: Any) -> Any:
        columns = [tf.cast(features[name], tf.float32) for name in sorted(features)]
        # Not scaled, as for this measurement it does not matter what is learned.
        return tf.math.tanh(tf.concat(columns, axis=1)), label

    def run(dataset: Any) -> None:
        model.fit(dataset.map(numbers), epochs=1, verbose=0)

    return run


def measure(folder: Path, rows: int) -> None:
    """Print the table."""
    every = list(ways(folder))
    train = fit()
    # What no input can be faster than.
    kept = every[0].dataset().cache()
    iterate(kept)
    train(kept)  # compiled before anything is timed
    figures: dict[tuple[int, str], list[tuple[float, float]]] = {}
    for _ in range(REPEATS):
        for index, way in enumerate(every):
            figures.setdefault((index, "iterate"), []).append(_timed(iterate, way.dataset()))
            figures.setdefault((index, "fit"), []).append(_timed(train, way.dataset()))
        figures.setdefault((-1, "fit"), []).append(_timed(train, kept))

    def shown(index: int, what: str) -> str:
        if (index, what) not in figures:
            return " | "
        wall = [rows / seconds for seconds, _ in figures[index, what]]
        processor = [rows / seconds for _, seconds in figures[index, what]]
        spread = f"{min(wall):,.0f} to {max(wall):,.0f}"
        return f"{statistics.median(wall):,.0f} ({spread}) | {statistics.median(processor):,.0f}"

    print(f"\n{rows:,} rows of 18 features, batches of {BATCH_SIZE}; rows a second\n")
    print("| | shuffled | iterate | a processor's second | fit | a processor's second |")
    print("|---|---|---|---|---|---|")
    for index, way in enumerate(every):
        name = f"{way.name} | {'yes' if way.shuffles else 'no'}"
        print(f"| {name} | {shown(index, 'iterate')} | {shown(index, 'fit')} |")
    print(f"| batches kept in memory | no | {shown(-1, 'iterate')} | {shown(-1, 'fit')} |")


def _timed(work: Callable[[Any], None], dataset: Any) -> tuple[float, float]:
    """Return seconds, and seconds of processors."""
    start, processor = time.perf_counter(), time.process_time()
    work(dataset)
    return time.perf_counter() - start, time.process_time() - processor


def main() -> None:
    """Write the rows, if they are not there, and measure."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 300_000
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(temporary)
        if not (folder / FORMATS[1]).exists():
            write_transformed(folder, rows)
        measure(folder, rows)


if __name__ == "__main__":
    main()
