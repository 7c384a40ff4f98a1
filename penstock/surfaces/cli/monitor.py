"""What is watched of models that serve."""

from __future__ import annotations

import click

from penstock.surfaces.cli.groups import LazyGroup

COMMANDS = {
    "run": "penstock.surfaces.cli.monitor_run:run",
    "status": "penstock.surfaces.cli.monitor_run:status",
    "report": "penstock.surfaces.cli.monitor_report:report",
}


class _Commands(LazyGroup):
    """The commands of the group."""

    places = COMMANDS


@click.group(cls=_Commands)
def monitor() -> None:
    """Watch models that serve: data quality, drift, performance, latency, errors.

    NAME is a table [monitors.NAME] of penstock.toml.

    \b
    Examples:
      penstock monitor run
      penstock monitor status flights
      penstock monitor report flights --open
    """
