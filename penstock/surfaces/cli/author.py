"""Who decides something at the command line, as records have it."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import click

from penstock.safety.users import user_and_machine

# What CI services say of whose change they work on.
_SAYS_WHO = ("PENSTOCK_USER", "GITHUB_ACTOR", "GITLAB_USER_LOGIN", "BUILD_TRIGGERED_BY")


def who_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the option `--who`."""
    return click.option(
        "--who",
        default=this_user,
        metavar="NAME",
        help="Who decides this, for the record; by default you.",
    )(command)


def decision_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options `--who` and `--why`."""
    why = click.option("--why", default="", metavar="TEXT", help="Why, for the record.")
    return who_option(why(command))


def this_user() -> str:
    """Return the name of whoever calls: as the environment says, or else user and machine."""
    for name in _SAYS_WHO:
        if os.environ.get(name):
            return os.environ[name]
    return user_and_machine()
