"""Groups of commands of which each is imported when it is called: help must not wait."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import ClassVar

import click

from penstock.errors import suggestion


class LazyGroup(click.Group):
    """A group whose `places` say where each command is, in the order in which help shows them.

    An unknown command is answered with the nearest.
    """

    places: ClassVar[Mapping[str, str]] = {}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands."""
        return list(self.places)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command, None where there is none of the name."""
        if cmd_name not in self.places:
            return None
        module, _, attribute = self.places[cmd_name].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that is called.

        Raises:
          UsageError: there is none of the name.
        """
        if args and args[0] not in self.places and not args[0].startswith("-"):
            hint = suggestion(args[0], self.places, noun="command")
            raise click.UsageError(f"There is no command {args[0]!r}. {hint}", ctx)
        return super().resolve_command(ctx, args)
