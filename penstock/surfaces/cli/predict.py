"""Predictions for the rows of a file."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from typing import TYPE_CHECKING

import click

from penstock.errors import DataError, ParameterError
from penstock.safety.containment import is_name
from penstock.surfaces.cli.log_options import GivenLog, log_options
from penstock.surfaces.cli.options import profile_option, project_config
from penstock.surfaces.cli.printing import echo

if TYPE_CHECKING:
    import pyarrow as pa

    from penstock.models.loading import Model
    from penstock.project.prediction_log import LogOptions
    from penstock.serving.references import FoundModel

    Keep = Callable[[pa.Table, pa.Table], None]

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
@log_options
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
    given_log: GivenLog,
) -> None:
    """Predict for the rows of FILE (.csv, .parquet, .jsonl, or - for standard input).

    MODEL is the folder of a model or of pushed versions, a run, a pipeline, an artifact, or
    NAME@ALIAS of the registry. The file has columns by the names that the model knows, and may have
    others.

    \b
    Examples:
      penstock predict serving/churn customers.csv
      penstock predict churn@champion customers.parquet -o predictions.parquet
      penstock predict churn@champion customers.csv -o predictions.csv --log log
    """
    from penstock.data.csv_options import CsvOptions
    from penstock.models.row_files import kind_of_content, kind_of_file, predictions_of_file
    from penstock.serving.references import find_model

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    written = _kind_of_output(output)
    config = project_config(context)
    log = given_log.options(config)
    found = find_model(model, profile=profile_name, config=config)
    if file != _STDIN and not os.path.exists(file):
        raise DataError("there is no such file", path=file)
    with _on_disk(file) as path:
        read = kind or kind_of_file(path) or kind_of_content(path)
        comma = delimiter or ("\t" if path.lower().endswith(".tsv") else ",")
        loaded = _loaded(found.path, (*trusted, *found.trusted))
        parts = predictions_of_file(loaded, path, kind=read, options=CsvOptions(delimiter=comma))
        as_kind = written or ("jsonl" if read == "jsonl" else "csv")
        with _logging(log, found, loaded) as keep:
            _write(loaded, _kept(parts, keep), output, as_kind, with_rows)


def _loaded(path: str, trusted: tuple[str, ...]) -> Model:
    from penstock.models.loading import load_model

    return load_model(path, trusted=trusted)


@contextmanager
def _logging(log: LogOptions | None, found: FoundModel, model: Model) -> Iterator[Keep | None]:
    """Yield what keeps rows and predictions in a log, if they are to be."""
    if log is None:
        yield None
        return
    from penstock.serving.log.batch import batch_log
    from penstock.serving.log.policy import LogPolicy

    if not is_name(found.name):
        raise ParameterError(
            f"a log has a folder a model, and {found.name!r} cannot be one",
            hint="Give the model in a folder whose name has letters, digits, '-', '_' and '.'.",
        )
    policy = LogPolicy.of(log)
    with batch_log(policy, found.name, found.version, model.signature) as kept:
        yield kept.add


def _kept(
    parts: Iterator[tuple[pa.Table, pa.Table]], keep: Keep | None
) -> Iterator[tuple[pa.Table, pa.Table]]:
    for rows, predictions in parts:
        if keep is not None:
            keep(rows, predictions)
        yield rows, predictions


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
        echo(f"{count} predictions: {output}", err=True)
