"""Removing what runs have left and nobody needs."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from penstock.surfaces.cli.options import (
    RUN_FAILED,
    json_option,
    open_store,
    profile_option,
    project_config,
)
from penstock.surfaces.cli.printing import echo, echo_json, secho

if TYPE_CHECKING:
    from penstock.metadata.garbage.planning import Collection, Policy, Removal
    from penstock.metadata.garbage.removal import Collected

_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_MOST_PATHS = 5


class Age(click.ParamType):
    """A number and a unit: 90m, 12h, 30d, 8w."""

    name = "age"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> timedelta:
        """Return the age as a timedelta."""
        if isinstance(value, timedelta):
            return value
        match = re.fullmatch(r"(\d{1,6})([mhdw])", value.strip())
        if match is None:
            self.fail(f"expected a number with m, h, d or w, as in 30d; got {value!r}", param, ctx)
        return timedelta(**{_UNITS[match[2]]: int(match[1])})


@click.command()
@click.option(
    "--keep-last",
    type=click.IntRange(min=0),
    metavar="N",
    help="Keep what the newest N runs of each pipeline made or used; 3 by default.",
)
@click.option(
    "--older-than",
    type=Age(),
    metavar="AGE",
    help="Remove only what no run has used for so long, as 12h, 30d or 8w; 30d by default, "
    "and with --keep-last any age.",
)
@click.option("--delete", "--yes", "delete", is_flag=True, help="Remove it; else it is only shown.")
@click.option("-v", "--verbose", is_flag=True, help="Show every path.")
@profile_option
@json_option
@click.pass_context
def gc(
    context: click.Context,
    keep_last: int | None,
    older_than: timedelta | None,
    delete: bool,
    verbose: bool,
    profile_name: str | None,
    as_json: bool,
) -> None:
    """Show, or with --delete remove, artifacts that are old and that nothing needs.

    What a served, registered or blessed model descends from always stays, and so does all of a
    pipeline that is running. Lineage stays too: a removed artifact is still known, as deleted.

    \b
    Examples:
      penstock gc
      penstock gc --keep-last 5 --delete
    """
    from penstock.metadata.garbage.planning import Policy, plan_collection
    from penstock.metadata.garbage.removal import collect

    ages = timedelta(days=30) if keep_last is None else timedelta(0)
    policy = Policy(
        keep_last=3 if keep_last is None else keep_last,
        older_than=ages if older_than is None else older_than,
    )
    profile = project_config(context).profile(profile_name)
    with open_store(context, profile_name) as metadata:
        if delete:
            done = collect(metadata.store, profile.root_of, policy)
        else:
            planned = plan_collection(metadata.store, profile.root_of, policy)
    if not delete:
        if as_json:
            echo_json(_plan_as_json(planned, policy))
        else:
            _print_plan(planned, policy, verbose)
        return
    if as_json:
        echo_json(_collected_as_json(done, policy))
    else:
        _print_collected(done, verbose)
    if done.failed:
        context.exit(RUN_FAILED)


def _print_plan(planned: Collection, policy: Policy, verbose: bool) -> None:
    from penstock.metadata.garbage.paths import disk_size
    from penstock.report.wording import size

    for reason, kept in sorted(planned.kept.items(), key=lambda item: -len(item[1])):
        held = sum(disk_size(a.uri) for a in kept if "://" not in a.uri)
        secho("  keep    ", fg="green", nl=False)
        echo(f"{len(kept):>6}  {size(held):>8}  {_explained(reason, policy)}")
    _print_removals(planned.removals, "  remove  ", verbose)
    for run_id in planned.runs_in_progress:
        secho(f"run {run_id} is in progress, or it ended less than an hour ago", fg="yellow")
    if not planned.removals:
        echo("there is nothing to remove")
        return
    secho(f"{size(planned.size)} would be freed", bold=True, nl=False)
    echo("; nothing has been removed. Remove it: the same command with --delete.")


def _explained(reason: str, policy: Policy) -> str:
    from penstock.metadata.garbage.planning import NEWEST_RUNS, YOUNG

    details = {
        NEWEST_RUNS: f"--keep-last {policy.keep_last}",
        YOUNG: f"--older-than {_age(policy.older_than)}",
    }
    return f"{reason} ({details[reason]})" if reason in details else reason


def _age(age: timedelta) -> str:
    hours = age / timedelta(hours=1)
    return f"{hours / 24:g}d" if hours >= 24 or not hours else f"{hours:g}h"


def _print_removals(removals: Iterable[Removal], title: str, verbose: bool) -> None:
    from penstock.report.wording import from_here, size

    groups: dict[str, list[Removal]] = {}
    for removal in removals:
        groups.setdefault(removal.reason, []).append(removal)
    for reason, group in groups.items():
        secho(title, fg="red", nl=False)
        echo(f"{len(group):>6}  {size(sum(r.size for r in group)):>8}  {reason}")
        largest = sorted(group, key=lambda r: -r.size)
        for removal in largest if verbose else largest[:_MOST_PATHS]:
            secho(f"{'':>18}{size(removal.size):>8}  {from_here(removal.path)}", dim=True)
        if not verbose and len(group) > _MOST_PATHS:
            secho(f"{'':>28}and {len(group) - _MOST_PATHS} more; -v shows all", dim=True)


def _print_collected(done: Collected, verbose: bool) -> None:
    from penstock.report.wording import size

    _print_removals(done.removed, "  removed ", verbose)
    for removal, error in done.failed:
        secho("  failed  ", fg="red", bold=True, nl=False, err=True)
        echo(f"{removal.path}: {error}", err=True)
    for run_id in done.plan.runs_in_progress:
        secho(f"run {run_id} is in progress, or it ended less than an hour ago", fg="yellow")
    if done.removed:
        secho(f"{size(done.size)} freed", bold=True)
    elif not done.failed:
        echo("there was nothing to remove")
    if done.failed:
        echo(
            f"{len(done.failed)} could not be removed; the next penstock gc --delete tries again.",
            err=True,
        )


def _plan_as_json(planned: Collection, policy: Policy) -> dict[str, Any]:
    return {
        "keep_last": policy.keep_last,
        "older_than_seconds": policy.older_than.total_seconds(),
        "kept": {
            reason: [{"id": a.artifact_id, "uri": a.uri} for a in kept]
            for reason, kept in planned.kept.items()
        },
        "remove": [_removal_as_json(removal) for removal in planned.removals],
        "bytes": planned.size,
        "runs_in_progress": list(planned.runs_in_progress),
    }


def _collected_as_json(done: Collected, policy: Policy) -> dict[str, Any]:
    return {
        **_plan_as_json(done.plan, policy),
        "removed": [_removal_as_json(removal) for removal in done.removed],
        "failed": [{**_removal_as_json(r), "error": error} for r, error in done.failed],
        "bytes": done.size,
    }


def _removal_as_json(removal: Removal) -> dict[str, Any]:
    return {
        "path": removal.path,
        "id": removal.artifact_id,
        "reason": removal.reason,
        "bytes": removal.size,
        "pipeline": removal.pipeline_name,
    }
