"""The report of a run."""

from __future__ import annotations

import os
from pathlib import Path

import click

from penstock.errors import StorageError
from penstock.surfaces.cli.completion import RUN
from penstock.surfaces.cli.options import json_option, open_store, profile_option
from penstock.surfaces.cli.printing import echo, echo_json


@click.command()
@click.argument("run_id", metavar="[RUN]", default="latest", type=RUN)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The file to write; by default report.html beside the run's logs.",
)
@click.option("--open", "opens", is_flag=True, help="Show it in the browser.")
@profile_option
@json_option
@click.pass_context
def report(
    context: click.Context,
    run_id: str,
    output: Path | None,
    opens: bool,
    profile_name: str | None,
    as_json: bool,
) -> None:
    """Write the report of a RUN, one HTML file; by default of the newest.

    Every run writes it when it ends. Here it is made anew, from the store and from what is left of
    the artifacts.

    \b
    Examples:
      penstock report --open
      penstock report 20261124-093012-a1b2c3 -o report.html
    """
    from penstock.data.files.remote import is_remote
    from penstock.metadata.runs import find_run
    from penstock.report import report_path, write_report
    from penstock.report.wording import from_here

    with open_store(context, profile_name) as metadata:
        run = find_run(metadata.store, run_id)
        path = str(output) if output else report_path(metadata.store, run.run_id)
        if not path or is_remote(path):
            path = f"report-{run.run_id}.html"  # the run has no folder of its own on this machine
        try:
            os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
            write_report(metadata.store, run.run_id, path)
        except OSError as error:
            raise StorageError(
                f"the report cannot be written to {path}: {error.strerror}",
                path=path,
                hint="Name another file: penstock report RUN -o FILE.",
            ) from error
    if as_json:
        echo_json({"run_id": run.run_id, "path": os.path.abspath(path)})
    else:
        echo(from_here(path))
    if opens:
        click.launch(Path(path).absolute().as_uri())
