"""CSV files to splits of examples, in one process or several."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial

from penstock.authoring.beam import BeamOptions
from penstock.data import csv
from penstock.data.csv import CsvColumns
from penstock.data.csv_options import CsvOptions
from penstock.data.ingestion import Destination, check_payload
from penstock.data.parallel.workers import Workers
from penstock.data.spans import ResolvedInput
from penstock.data.writing import BlockWriter, SplitsWriter, shard_count, write_blocks


def generate_examples(
    resolved: ResolvedInput,
    to: Destination,
    options: CsvOptions,
    progress: Callable[..., None],
    beam: BeamOptions = BeamOptions(),
    *,
    aligned: bool = True,
) -> dict[str, str]:
    """Read the files of every input split, and write their rows to the splits they belong to.

    A column has the same type in all input splits if they are `aligned`, else in each its own.
    Return the first cell that made text of each column of numbers, and where it stands.
    """
    check_payload("CsvExampleGen", to)
    shards = shard_count(resolved.files, csv.block_count(resolved.files, options))
    with beam.workers() as workers:
        columns, texts = _columns(resolved, options, shards, workers, aligned=aligned)
        write_blocks(to, partial(_blocks, resolved, columns, options), shards, progress, workers)
    return texts


def _columns(
    resolved: ResolvedInput, options: CsvOptions, shards: int, workers: Workers, *, aligned: bool
) -> tuple[dict[str, CsvColumns], dict[str, str]]:
    """Infer the columns of every input split; each worker looks at some of them."""
    texts: dict[str, str] = {}
    count = min(shards, workers.count)
    parts = [(number, count) for number in range(count)]
    inferred = workers.map(
        partial(_infer, resolved, options), parts, named=lambda _: "infer the types of columns"
    )
    columns_of_splits: dict[str, list[CsvColumns]] = {split.name: [] for split in resolved.splits}
    for of_some, notices in inferred:
        for split, columns in of_some.items():
            columns_of_splits[split].append(columns)
        for notice in notices:
            print(notice)
            texts.setdefault(notice.column, f"{notice.cell} in {notice.where}")
    joined = {split: csv.join_types(parts) for split, parts in columns_of_splits.items()}
    return csv.align_types(joined) if aligned else joined, texts


def _infer(
    resolved: ResolvedInput, options: CsvOptions, part: tuple[int, int], _: Callable[[int], None]
) -> tuple[dict[str, CsvColumns], list[csv.TypeChange]]:
    notices: list[csv.TypeChange] = []
    return {
        split.name: csv.infer_columns(split.files, options, notices.append, part)
        for split in resolved.splits
    }, notices


def _blocks(
    resolved: ResolvedInput, columns: Mapping[str, CsvColumns], options: CsvOptions
) -> Iterator[BlockWriter]:
    for split in resolved.splits:
        for path in split.files:
            for block in csv.read_blocks(path, columns[split.name], options):
                yield partial(_write, block, split.name, options)


def _write(block: csv.BlockReader, split: str, options: CsvOptions, writer: SplitsWriter) -> None:
    writer.write_batch(block(), split, null_as_empty=options.missing_cells == "empty")
