"""Looking after the metadata store."""

from __future__ import annotations

import click

from penstock.surfaces.cli.options import profile_option, store_config
from penstock.surfaces.cli.printing import echo


@click.group()
def store() -> None:
    """Look after the metadata store.

    \b
    Example:
      penstock store upgrade
    """


@store.command()
@profile_option
@click.pass_context
def upgrade(context: click.Context, profile_name: str | None) -> None:
    """Bring a store of an older version to the version of the installed ml-metadata.

    An SQLite file is copied first; back up a database on a server by its own tools. Programs with
    an older ml-metadata cannot use the store any more.

    \b
    Example:
      penstock store upgrade --profile team
    """
    from penstock.metadata.databases.upgrade import upgrade as upgrade_store

    needed, copy = upgrade_store(store_config(context, profile_name))
    if not needed:
        echo("The store is of the installed version already.")
    elif copy:
        echo(f"The store is upgraded. As it was before it is in {copy}.")
    else:
        echo("The store is upgraded.")
