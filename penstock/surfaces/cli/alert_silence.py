"""Silences: alerts of which nobody is told for a while."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from penstock.surfaces.cli.author import who_option
from penstock.surfaces.cli.options import (
    json_option,
    local_time,
    open_store,
    profile_option,
    store_config,
)
from penstock.surfaces.cli.printing import echo, echo_json, unread_output

if TYPE_CHECKING:
    from penstock.operations.alerts.silences import Silence


@click.command()
@click.argument("alerts", metavar="NAME-GLOB")
@click.option(
    "--for", "interval", required=True, metavar="INTERVAL", help="How long, as 30m, 2h or 1d12h."
)
@click.option("--why", required=True, metavar="TEXT", help="Why, for the record.")
@click.option(
    "--subject", default="", metavar="GLOB", help="Only alerts that are about nothing else."
)
@who_option
@profile_option
@click.pass_context
def silence(
    context: click.Context,
    alerts: str,
    interval: str,
    why: str,
    subject: str,
    who: str,
    profile_name: str | None,
) -> None:
    """Tell nobody of alerts whose names match, for a while.

    They are recorded and listed, and triggers and gates of releases take them as any other. What
    is still open when the silence ends is told then; that something is over is always told.

    \b
    Examples:
      penstock alert silence 'flights.*' --for 2h --why "the source is being moved"
      penstock alert silence flights.drift --for 1d --subject 'dep_*' --why "a strike"
    """
    from penstock.metadata.alerts import raised_alerts
    from penstock.metadata.store import connect
    from penstock.operations.alerts import silences
    from penstock.project.intervals import parse_interval

    now = datetime.now(UTC)
    until = now + timedelta(seconds=parse_interval(interval))
    with connect(store_config(context, profile_name)) as metadata:
        made = silences.silence(
            metadata.store, alerts, now, until, who=who, why=why, subject=subject
        )
        matching = [r for r in raised_alerts(metadata.store) if made.matches(r)]
    echo(f"silence {made.number} holds until {local_time(made.until)}")
    still_open = sum(raised.is_open for raised in matching)
    if not matching:
        echo(f"no alert has matched {alerts!r} so far", err=True)
    elif still_open:
        echo(f"{still_open} open alert{'s' if still_open > 1 else ''} of it")


@click.command()
@click.argument("number", type=click.IntRange(min=1))
@who_option
@profile_option
@click.pass_context
def unsilence(context: click.Context, number: int, who: str, profile_name: str | None) -> None:
    """Take a silence back, by its number.

    \b
    Example:
      penstock alert unsilence 3
    """
    from penstock.operations.alerts.silences import end_silence

    with open_store(context, profile_name) as metadata:
        ended = end_silence(metadata.store, number, datetime.now(UTC), who=who)
    echo(f"silence {number} of {ended.alerts} holds no more")


@click.command("silences")
@click.option("--all", "show_all", is_flag=True, help="Those that have ended, too.")
@json_option
@profile_option
@click.pass_context
def list_silences(
    context: click.Context, show_all: bool, as_json: bool, profile_name: str | None
) -> None:
    """List the silences that hold: of what, until when, by whom and why.

    \b
    Example:
      penstock alert silences --all
    """
    from penstock.operations.alerts.silences import silences

    now = datetime.now(UTC)
    with open_store(context, profile_name) as metadata:
        found = [each for each in silences(metadata.store) if show_all or each.holds(now)]
    with unread_output():
        if as_json:
            echo_json([_as_json(each, now) for each in found])
            return
        if not found:
            echo("no silences")
        for each in found:
            echo(_line(each, now))


def _line(silence: Silence, now: datetime) -> str:
    from penstock.operations.alerts.messages import one_line

    about = f"{silence.alerts} about {silence.subject}" if silence.subject else silence.alerts
    word = "until" if silence.holds(now) else "ended"
    by = f", ended by {silence.ended_by}" if silence.ended_by else ""
    text = f"{about} {word} {local_time(silence.end)} by {silence.who}: {silence.why}{by}"
    return f"{silence.number:>4}  {one_line(text)}"


def _as_json(silence: Silence, now: datetime) -> dict[str, Any]:
    return {
        "number": silence.number,
        "alerts": silence.alerts,
        "subject": silence.subject,
        "since": silence.since.isoformat(),
        "until": silence.end.isoformat(),
        "holds": silence.holds(now),
        "who": silence.who,
        "why": silence.why,
        "ended_by": silence.ended_by,
    }
