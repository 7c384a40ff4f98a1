"""The project's daemon: a process that has heavy modules imported, so that runs need not."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from penstock.errors import MissingExtra, PenstockError
from penstock.surfaces.cli.options import json_option, load_pipeline, local_time, project_config
from penstock.surfaces.cli.printing import echo, echo_json

if TYPE_CHECKING:
    from penstock.execution.daemon.asking import DaemonStatus, Lender
    from penstock.project.config import Config

_MB = 1_000_000
_NONE = "There is no daemon for"


@click.group()
def daemon() -> None:
    """Keep a process that has heavy modules imported, from which runs of this project begin.

    A run starts it when it has ended, unless penstock.toml says `[daemon] start = false`.

    \b
    Examples:
      penstock daemon start
      penstock daemon stop
    """


@daemon.command()
@click.pass_context
def start(context: click.Context) -> None:
    """Start it, and wait until it has imported what the project's pipelines need.

    It goes when it was not needed for a while (`idle_minutes` in penstock.toml), or with its
    project's folder. What is installed or edited anew is seen by the next run.

    \b
    Example:
      penstock daemon start
    """
    from penstock.execution.daemon import asking

    config = project_config(context)
    folder = str(config.folder)
    modules = _modules(config)
    print_status(asking.start(folder, modules, 60 * config.daemon.idle_minutes), folder)
    reason = asking.is_off()
    if reason:
        echo(f"Runs do not use it: {reason}.", err=True)


@daemon.command()
@json_option
@click.pass_context
def status(context: click.Context, as_json: bool) -> None:
    """Say whether there is one: since when, what it has imported, its memory, and its runs.

    \b
    Example:
      penstock daemon status --json
    """
    from penstock.execution.daemon import asking

    folder = str(project_config(context).folder)
    found = asking.status_of(folder)
    if as_json:
        echo_json(None if found is None else vars(found))
    elif found is None:
        echo(f"{_NONE} {folder}.")
    else:
        print_status(found, folder)


@daemon.command()
@click.pass_context
def stop(context: click.Context) -> None:
    """End it; a run that has workers of it goes on.

    \b
    Example:
      penstock daemon stop
    """
    from penstock.execution.daemon import asking

    folder = str(project_config(context).folder)
    found = asking.stop(folder)
    if found is None:
        echo(f"{_NONE} {folder}.")
    else:
        later = " when the runs are over that have workers of it" if found.under_way else ""
        echo(f"The daemon, process {found.process_id}, ends{later}.")


def stand_by(config: Config, lender: Lender) -> None:
    """Start a daemon after a run that has missed one, unless the project does not want it."""
    from penstock.execution.daemon import asking

    # A folder without the file is no project, whose next run one could count on.
    if not config.daemon.start or config.path is None:
        return
    if asking.stand_by(lender, 60 * config.daemon.idle_minutes):
        echo("Warm workers stand by for the next run; penstock daemon stop ends them.", err=True)


def print_status(found: DaemonStatus, folder: str) -> None:
    """Print how a daemon is."""
    echo(f"{described(found)}, for {folder}")
    echo(f"  imported   {', '.join(found.imported) or 'nothing ahead'}")
    echo(f"  runs       {found.lent} nurseries lent, {found.under_way} under way")
    echo(f"  ends       {found.idle_seconds / 60:g} minutes after the last run")
    if found.refuses or found.differs:
        echo(f"  lends none {found.refuses or found.differs}")


def described(found: DaemonStatus) -> str:
    """Return what a daemon is, in a few words."""
    since = local_time(datetime.fromtimestamp(found.began, UTC))
    return f"process {found.process_id} since {since}, {found.memory_bytes / _MB:.0f} MB"


def _modules(config: Config) -> tuple[str, ...]:
    """Return what the project's pipelines need; those that cannot be read are named."""
    from penstock.runners.local import LocalRunner

    modules: dict[str, None] = {}
    for name in config.pipelines:
        try:
            pipeline: Any = load_pipeline(config, name)
            modules |= dict.fromkeys(LocalRunner().preloads(pipeline))
        except MissingExtra:
            continue  # who runs it is told
        except PenstockError as error:
            echo(f"nothing is imported for {name}: {error}", err=True)
    return tuple(sorted(modules, key=lambda module: module != "tensorflow"))
