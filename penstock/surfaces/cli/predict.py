"""Predictions for the rows of a file."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from typing import TYPE_CHECKING

import click

from penstock.errors import DataError, ParameterError
from penstock.surfaces.cli.options import profile_option, project_config

if TYPE_CHECKING:
    import pyarrow as pa

    from penstock.models.loading import Model

_KINDS = click.Choice(["csv", "parquet", "jsonl"])
_STDIN = "-"


@click.command()
@click.argument("model")
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True))
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False),
    help="The file to write, .csv, .parquet or .jsonl; without one, standard output.",
)
@click.option("--with-rows", is_flag=True, help="Write the rows' own columns before these.")
@click.option("--format", "kind", type=_KINDS, help="What FILE is, where its name does not say.")
@click.option("--delimiter", metavar="CHARACTER", help="What is between the cells of a CSV file.")
@click.option(
    "--trust",
    "trusted",
    multiple=True,
    metavar="NAME",
    help="Code beyond its framework's that may run for the model; may be repeated.",
)
@profile_option
@click.pass_context
def predict(
    context: click.Context,
    model: str,
    file: str,
    output: str | None,
    with_rows: bool,
    kind: str | None,
    delimiter: str | None,
    trusted: tuple[str, ...],
    profile_name: str | None,
) -> None:
    """Predict for the rows of FILE (.csv, .parquet, .jsonl, or - for standard input).

    MODEL is the folder of a model or of pushed versions, a run, a pipeline, an artifact, or
    NAME@ALIAS of the registry. The file has columns by the names that the model knows, and may have
    others.

    \b
    Examples:
      penstock predict serving/churn customers.csv
      penstock predict churn@champion customers.parquet -o predictions.parquet
    """
    from penstock.data.csv_options import CsvOptions
    from penstock.models.row_files import kind_of_content, kind_of_file, predictions_of_file
    from penstock.serving.references import find_model

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    written = _kind_of_output(output)
    found = find_model(model, profile=profile_name, config=project_config(context))
    if file != _STDIN and not os.path.exists(file):
        raise DataError("there is no such file", path=file)
    with _on_disk(file) as path:
        read = kind or kind_of_file(path) or kind_of_content(path)
        comma = delimiter or ("\t" if path.lower().endswith(".tsv") else ",")
        loaded = _loaded(found.path, (*trusted, *found.trusted))
        parts = predictions_of_file(loaded, path, kind=read, options=CsvOptions(delimiter=comma))
        _write(loaded, parts, output, written or ("jsonl" if read == "jsonl" else "csv"), with_rows)


def _loaded(path: str, trusted: tuple[str, ...]) -> Model:
    from penstock.models.loading import load_model

    return load_model(path, trusted=trusted)


def _kind_of_output(output: str | None) -> str | None:
    from penstock.models.row_files import kind_of_file

    if output is None:
        return None
    kind = kind_of_file(output)
    if kind is None or output.lower().endswith((".gz", ".zip")):
        raise ParameterError(f"--output: expected a file .csv, .parquet or .jsonl, got {output!r}")
    return kind


@contextmanager
def _on_disk(file: str) -> Iterator[str]:
    """Yield the path of a file; standard input is copied to one, since it can be read but once."""
    if file != _STDIN:
        yield file
        return
    with tempfile.NamedTemporaryFile(prefix="penstock-") as copy:
        shutil.copyfileobj(sys.stdin.buffer, copy)
        copy.flush()
        try:
            yield copy.name
        except DataError as error:
            error.path = "standard input" if error.path == copy.name else error.path
            raise


def _write(
    model: Model,
    parts: Iterator[tuple[pa.Table, pa.Table]],
    output: str | None,
    kind: str,
    with_rows: bool,
) -> None:
    from penstock.models.prediction_files import appearing, named, open_writer

    count = 0
    with ExitStack() as stack:
        opening = nullcontext(sys.stdout.buffer) if output is None else appearing(output)
        destination = stack.enter_context(opening)
        writer = None
        for rows, predictions in parts:
            table = named(predictions, model.signature, kind, rows if with_rows else None)
            if writer is None:
                writer = open_writer(destination, kind, table.schema)
                stack.callback(writer.close)
            writer.write(table)
            count += table.num_rows
    if output is not None:
        click.echo(f"{count} predictions: {output}", err=True)
