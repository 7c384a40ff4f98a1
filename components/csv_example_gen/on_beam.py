"""CSV files to splits of examples, on Beam: a file is the unit of work."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import apache_beam as beam_sdk

from penstock.authoring.beam import BeamOptions
from penstock.data import csv
from penstock.data.csv import CsvColumns
from penstock.data.csv_options import CsvOptions
from penstock.data.ingestion import Destination, check_payload
from penstock.data.spans import ResolvedInput
from penstock.data.writing_on_beam import WriteSplits, refuse_parquet, split_rows


def generate_examples(
    resolved: ResolvedInput,
    to: Destination,
    options: CsvOptions,
    progress: Callable[..., None],
    beam: BeamOptions,
) -> dict[str, str]:
    """Read the files of every input split, and write their rows to the splits they belong to.

    Nothing is returned of the cells that make text of columns of numbers.
    """
    check_payload("CsvExampleGen", to)
    refuse_parquet("CsvExampleGen", to)
    for split in resolved.splits:
        csv.common_header(split.files, options)
    files = [(split.name, path) for split in resolved.splits for path in split.files]
    with beam.pipeline(progress) as pipeline:
        spread = pipeline | beam_sdk.Create(files) | beam_sdk.Reshuffle()
        columns = (
            spread
            | "InferFile" >> beam_sdk.Map(_infer_file, options)
            | "Align" >> beam_sdk.CombineGlobally(_align)
        )
        (
            spread
            | "Read"
            >> beam_sdk.FlatMap(_read_file, beam_sdk.pvalue.AsSingleton(columns), to, options)
            | "Write" >> WriteSplits(to)
        )
    return {}


def _infer_file(file: tuple[str, str], options: CsvOptions) -> dict[str, CsvColumns]:
    split, path = file
    return {split: csv.infer_columns([path], options)}


def _align(parts: Iterable[dict[str, CsvColumns]]) -> dict[str, CsvColumns]:
    """Merge the columns of files; all files of a split have the same header."""
    numbered = {
        (split, number): columns
        for number, part in enumerate(parts)
        for split, columns in part.items()
    }
    return {split: columns for (split, _), columns in csv.align_types(numbered).items()}


def _read_file(
    file: tuple[str, str], columns: dict[str, CsvColumns], to: Destination, options: CsvOptions
) -> Iterator[tuple[int, bytes]]:
    split, path = file
    null_as_empty = options.missing_cells == "empty"
    for batch in csv.read_file(path, columns[split], options):
        yield from split_rows(batch, split, to, null_as_empty)
