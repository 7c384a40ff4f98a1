"""What a pipeline of CI and CD asks: what a change does, whether it may go on, and to bring it on.

Each command is in a module of its own, which is imported when it is called.
"""

from __future__ import annotations

from collections.abc import Mapping

import click

from penstock.surfaces.cli.groups import LazyGroup

# In the order in which help shows them.
COMMANDS: Mapping[str, str] = {
    "plan": "penstock.surfaces.cli.ci_plan:plan",
    "check": "penstock.surfaces.cli.ci_check:check",
    "deploy": "penstock.surfaces.cli.ci_deploy:deploy",
    "approve": "penstock.surfaces.cli.ci_deploy:approve",
    "rollback": "penstock.surfaces.cli.ci_deploy:rollback",
    "history": "penstock.surfaces.cli.ci_deploy:history",
    "init": "penstock.surfaces.cli.ci_init:init",
}


class _Commands(LazyGroup):
    """The commands of the group."""

    places = COMMANDS


@click.group(cls=_Commands)
def ci() -> None:
    """Check and plan what a change does to the pipelines, and bring it to where they run.

    \b
    Example:
      penstock ci plan --base origin/main
    """
