"""CSV files to splits of examples, in this process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from penstock.data import csv
from penstock.data.csv import CsvColumns, CsvOptions
from penstock.data.ingestion import Destination, check_payload
from penstock.data.spans import ResolvedInput
from penstock.data.writing import SplitsWriter


def generate_examples(
    found: ResolvedInput,
    to: Destination,
    options: CsvOptions,
    progress: Callable[..., None],
    beam: Any = None,  # noqa: ARG001  # the engine on Beam needs it
) -> None:
    """Read the files of every input split, and write their rows to the splits they belong to."""
    check_payload("CsvExampleGen", to)
    columns = csv.align_types(
        {split.name: csv.infer_columns(split.files, options, print) for split in found.splits}
    )
    with SplitsWriter(to, progress) as writer:
        for split in found.splits:
            for path in split.files:
                _write_file(writer, path, split.name, columns[split.name], options)


def _write_file(
    writer: SplitsWriter, path: str, split: str, columns: CsvColumns, options: CsvOptions
) -> None:
    for batch in csv.read_file(path, columns, options):
        writer.write_batch(batch, split, null_as_empty=options.missing_cells == "empty")
