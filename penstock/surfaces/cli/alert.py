"""Alerts: what is open, who is told of it and who is not.

Each command is in a module of its own, or with its like, which is imported when it is called.
"""

from __future__ import annotations

from collections.abc import Mapping

import click

from penstock.surfaces.cli.groups import LazyGroup

# In the order in which help shows them.
COMMANDS: Mapping[str, str] = {
    "list": "penstock.surfaces.cli.alert_list:list_alerts",
    "show": "penstock.surfaces.cli.alert_list:show",
    "raise": "penstock.surfaces.cli.alert_raise:raise_by_hand",
    "resolve": "penstock.surfaces.cli.alert_raise:resolve",
    "silence": "penstock.surfaces.cli.alert_silence:silence",
    "unsilence": "penstock.surfaces.cli.alert_silence:unsilence",
    "silences": "penstock.surfaces.cli.alert_silence:list_silences",
    "deliver": "penstock.surfaces.cli.alert_deliver:deliver",
    "watch": "penstock.surfaces.cli.alert_deliver:watch",
    "test": "penstock.surfaces.cli.alert_deliver:test",
}


class _Commands(LazyGroup):
    """The commands of the group."""

    places = COMMANDS


@click.group(cls=_Commands)
def alert() -> None:
    """Look at alerts, tell people of them by the sinks of penstock.toml, or silence them.

    \b
    Examples:
      penstock alert list
      penstock alert watch
      penstock alert silence 'flights.*' --for 2h --why "the source is being moved"
    """
