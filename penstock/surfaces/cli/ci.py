"""What a pipeline of CI and CD asks: what a change does, whether it may go on, and to bring it on.

Each command is in a module of its own, which is imported when it is called.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping

import click

from penstock.errors import suggestion

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


class _Commands(click.Group):
    """The commands of the group; an unknown one is answered with the nearest."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            hint = suggestion(args[0], COMMANDS, noun="command")
            raise click.UsageError(f"There is no command {args[0]!r}. {hint}", ctx)
        return super().resolve_command(ctx, args)


@click.group(cls=_Commands)
def ci() -> None:
    """Check and plan what a change does to the pipelines, and bring it to where they run.

    \b
    Example:
      penstock ci plan --base origin/main
    """
