"""Whether the pipelines of a project hold, as far as that can be told before they are deployed."""

from __future__ import annotations

import click

from penstock.operations.delivery.checking import (
    DEFAULT_ROWS,
    Checked,
    Wishes,
    as_json,
    check_project,
)
from penstock.operations.delivery.checks import Check, State
from penstock.surfaces.cli.completion import PIPELINE
from penstock.surfaces.cli.options import (
    RUN_FAILED,
    json_option,
    profile_option,
    project_config,
)
from penstock.surfaces.cli.printing import echo, echo_json, secho, unread_output

_MARKS = {
    State.PASSED: ("✔", "green"),
    State.WARNED: ("!", "yellow"),
    State.FAILED: ("✘", "red"),
    State.SKIPPED: ("–", None),
}


@click.command()
@click.argument("pipelines", metavar="[PIPELINE]...", nargs=-1, type=PIPELINE)
@click.option("--base", metavar="REF", default="", help="Run only what has changed since REF.")
@profile_option
@click.option(
    "--rows",
    type=click.IntRange(min=1),
    default=DEFAULT_ROWS,
    show_default=True,
    help="About how many rows a sampled run reads.",
)
@click.option("--resample", is_flag=True, help="Choose the rows again.")
@click.option("--no-tests", is_flag=True, help="Leave out the project's tests.")
@click.option("--no-run", is_flag=True, help="Leave out the runs on samples.")
@json_option
@click.pass_context
def check(
    context: click.Context,
    pipelines: tuple[str, ...],
    base: str,
    profile_name: str | None,
    rows: int,
    resample: bool,
    no_tests: bool,
    no_run: bool,
    as_json: bool,
) -> None:
    """Check PIPELINEs, by default all: that they compile, fit together, pass tests, and run.

    Each is compiled for every profile. What nodes give each other and what the code reads of the
    schema is looked at, pytest runs the project's tests, and each pipeline runs through all its
    gates on rows that are chosen once and kept in .penstock/ci, with a root and a store of its own,
    and without the nodes that deploy. The profile says with which parameters. What came of it is
    recorded for the pipelines' fingerprints. The exit code is 1 where a check fails.

    \b
    Examples:
      penstock ci check
      penstock ci check flights --base origin/main --rows 5000
    """
    wishes = Wishes(pipelines, base, profile_name or "", rows, resample, not no_tests, not no_run)

    def tell(text: str) -> None:
        echo(text, err=True)

    checked = check_project(project_config(context), wishes, tell)
    with unread_output():
        if as_json:
            echo_json(_as_json(checked))
        else:
            _print(checked)
    if not checked.passed:
        context.exit(RUN_FAILED)


_as_json = as_json


def _print(checked: Checked) -> None:
    for one in checked.checks:
        _print_check(one)
    echo()
    for record in checked.records:
        secho(record.pipeline, bold=True, nl=False)
        echo(f"  {record.fingerprint}  ", nl=False)
        obstacles = len(record.obstacles())
        told = f"not to be deployed: {obstacles} checks failed or are missing"
        echo(told if obstacles else "checked, and recorded")
    if checked.unrecorded:
        secho(f"nothing was recorded: {checked.unrecorded}", fg="yellow")


def _print_check(one: Check) -> None:
    mark, color = _MARKS[one.state]
    subject = ", ".join(filter(None, (one.pipeline, one.profile)))
    secho(f"{mark} {one.name:<20}", fg=color, nl=False)
    took = f"  {one.seconds:.1f} s" if one.seconds >= 0.05 else ""
    first, *more = (one.message or one.state.value).splitlines()
    echo(f"  {subject or 'project'}  {first}{took}")
    for line in more:
        echo(f"    {line}")
    if one.state in (State.FAILED, State.WARNED):
        for line in filter(None, (one.where, one.hint)):
            echo(f"    {line}")
