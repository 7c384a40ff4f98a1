"""Runs on Kubeflow Pipelines: looking at one, and canceling one."""

from __future__ import annotations

import click

from penstock.surfaces.cli.completion import RUN_OF_PROFILE
from penstock.surfaces.cli.options import RUN_FAILED, json_option, profile_option
from penstock.surfaces.cli.printing import echo, echo_json


@click.command()
@click.argument("run_id", metavar="RUN", type=RUN_OF_PROFILE)
@profile_option
@click.option("--watch", is_flag=True, help="Show changes until the run is over.")
@json_option
@click.pass_context
def status(
    context: click.Context, run_id: str, profile_name: str | None, watch: bool, as_json: bool
) -> None:
    """Show a RUN on Kubeflow Pipelines: its state and its nodes'. `latest` is the newest.

    The exit code is 1 if the run failed or was canceled.

    \b
    Examples:
      penstock status latest --watch
      penstock status 5a1f2c3e-0b7d-4f7e-9a43-8c1de2f30b11 --json
    """
    from penstock.runners.kubeflow.server import operations
    from penstock.surfaces.cli import service as server

    _, options = server.cluster_profile(context, profile_name)
    service = server.connect(options)
    if watch:
        run_status = operations.wait(service, run_id, server.change_printer())
    else:
        run_status = operations.read_status(service, run_id)
    if as_json:
        echo_json(server.as_json(run_status))
    else:
        if not watch:
            server.print_nodes(run_status)
        server.print_end(run_status)
    if run_status.final and not run_status.succeeded:
        context.exit(RUN_FAILED)


@click.command()
@click.argument("run_id", metavar="RUN", type=RUN_OF_PROFILE)
@profile_option
@json_option
@click.pass_context
def cancel(context: click.Context, run_id: str, profile_name: str | None, as_json: bool) -> None:
    """Cancel a RUN on Kubeflow Pipelines, and wait until it has ended.

    \b
    Example:
      penstock cancel latest
    """
    from penstock.runners.kubeflow.server import operations
    from penstock.surfaces.cli import service as server

    _, options = server.cluster_profile(context, profile_name)
    service = server.connect(options)
    ended, by_this = operations.cancel(service, run_id, server.change_printer())
    if as_json:
        echo_json({**server.as_json(ended), "canceled": by_this})
        return
    server.print_end(ended)
    if not by_this:
        echo("  It had come to its end before: there was nothing to cancel.")
