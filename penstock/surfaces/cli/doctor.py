"""Whether this machine, its packages and the services of a profile do for Penstock."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from penstock.surfaces.cli.options import (
    RUN_FAILED,
    column,
    json_option,
    profile_option,
    project_config,
)
from penstock.surfaces.cli.printing import echo, echo_json, secho

if TYPE_CHECKING:
    from penstock.surfaces.cli.examination import Finding

_MARKS = {
    "fine": ("✔", "green"),
    "unused": ("–", None),
    "doubtful": ("!", "yellow"),
    "wrong": ("✘", "red"),
}


@click.command()
@profile_option
@json_option
@click.pass_context
def doctor(context: click.Context, profile_name: str | None, as_json: bool) -> None:
    """Check this machine, the packages, and the store and cluster of a profile.

    What is wrong is said with what to do; then the exit code is 1.

    \b
    Examples:
      penstock doctor
      penstock doctor --profile team --json
    """
    from penstock.surfaces.cli import examination
    from penstock.surfaces.cli.daemon_examined import daemon
    from penstock.surfaces.cli.pods_examined import pods

    config = project_config(context)
    profile = config.profile(profile_name)
    # Those that wait for others wait at the same time.
    checks: list[Callable[[], Finding]] = [
        *examination.checks(config, profile),
        partial(pods, config, profile),
        partial(daemon, config),
    ]
    with ThreadPoolExecutor() as pool:
        waiting = [pool.submit(check) for check in checks]
        findings = [future.result() for future in waiting]
    if as_json:
        echo_json([vars(finding) for finding in findings])
    else:
        _print(findings)
    if any(finding.state == "wrong" for finding in findings):
        context.exit(RUN_FAILED)


def _print(findings: list[Any]) -> None:
    names = column(finding.name for finding in findings)
    for finding, name in zip(findings, names, strict=True):
        mark, color = _MARKS[finding.state]
        head = f"{mark} {name}  "
        secho(head, fg=color, nl=False)
        echo(finding.found)
        if finding.advice:
            echo(f"{'':<{len(head)}}{finding.advice}")
