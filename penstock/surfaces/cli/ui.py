"""The live page."""

from __future__ import annotations

import secrets

import click

from penstock.project import extras
from penstock.surfaces.cli.options import profile_option, project_config, store_config
from penstock.surfaces.cli.printing import echo


@click.command()
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    help="The port; by default any that is free.",
)
@click.option("--open", "opens", is_flag=True, help="Show it in the browser.")
@profile_option
@click.pass_context
def ui(context: click.Context, port: int, opens: bool, profile_name: str | None) -> None:
    """Serve a page over the store: runs as they go, artifacts, lineage, comparisons.

    Only this machine reaches it, and only with the token in the address that is printed. Nothing
    that is done there changes the store. Ctrl-C ends it.

    \b
    Example:
      penstock ui --open
    """
    missing = extras.needed_by("penstock ui", extras.EXTRAS["ui"])
    if missing is not None:
        raise missing
    from penstock.metadata.store import connect, without_password
    from penstock.surfaces.cli.service import kept_recorded, record_lent
    from penstock.surfaces.ui.app import Server, application
    from penstock.surfaces.ui.pages import PATIENCE

    config = project_config(context)
    address = config.profile(profile_name).metadata_address()

    token = secrets.token_urlsafe(24)
    code = secrets.token_urlsafe(24) if opens else ""

    def announce(page: str) -> None:
        echo(page)
        if opens:
            # The browser's command line, which other users can read, holds what is used up at once.
            click.launch(page.replace(f"token={token}", f"code={code}"))

    connection = store_config(context, profile_name)
    with connect(connection, create=False, patience=PATIENCE) as metadata:
        record_lent(context, profile_name, metadata)
        access = application(
            metadata.store, token, without_password(address), tuple(config.monitors), code
        )
        with kept_recorded(context, profile_name):
            Server(access, port, announce).run()
