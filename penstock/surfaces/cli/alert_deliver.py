"""Telling the sinks of penstock.toml of alerts."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from penstock.errors import ConfigError, suggestion
from penstock.surfaces.cli.author import this_user
from penstock.surfaces.cli.completion import SINK
from penstock.surfaces.cli.options import (
    RUN_FAILED,
    json_option,
    local_time,
    profile_option,
    project_config,
)
from penstock.surfaces.cli.printing import echo, echo_json, secho, unread_output

if TYPE_CHECKING:
    from penstock.operations.alerts.delivering import Delivery
    from penstock.operations.alerts.watching import Watched
    from penstock.project.alerting import Sink

_SINKS = click.argument("names", metavar="[SINK]...", nargs=-1, type=SINK)


@click.command()
@_SINKS
@json_option
@profile_option
@click.pass_context
def deliver(
    context: click.Context, names: tuple[str, ...], as_json: bool, profile_name: str | None
) -> None:
    """Tell the sinks once, or those named, what they were not told yet.

    Runs that have ended are looked at first, where penstock.toml has notifications of them.
    Asking again tells nothing twice. The exit code is 1 if a sink did not take a message; what it
    was not told is tried again by the next call, when it is due.

    \b
    Examples:
      penstock alert deliver
      penstock alert deliver team --json
    """
    deliveries = _watched(context, names, profile_name).deliver()
    with unread_output():
        if as_json:
            echo_json([_as_json(each) for each in deliveries])
        else:
            for each in deliveries:
                _print(each)
            if not any(each.taken or each.problem or each.waiting for each in deliveries):
                echo("nothing to tell")
    if any(each.problem for each in deliveries):
        context.exit(RUN_FAILED)


@click.command()
@_SINKS
@click.option(
    "--every",
    default="30s",
    show_default=True,
    metavar="INTERVAL",
    help="How often to look, as 30s, 5m or 1h.",
)
@profile_option
@click.pass_context
def watch(
    context: click.Context, names: tuple[str, ...], every: str, profile_name: str | None
) -> None:
    """Tell the sinks again and again, or those named, until Ctrl-C or SIGTERM.

    Several may watch at the same time. What one has not told when it is killed is told by the next.

    \b
    Examples:
      penstock alert watch
      penstock alert watch team --every 5m --profile cluster
    """
    from penstock.operations.alarm import Alarm, ended_by_signals
    from penstock.operations.alerts import watching
    from penstock.project.intervals import parse_interval

    seconds = parse_interval(every)
    watched = _watched(context, names, profile_name)
    alarm = Alarm()
    with ended_by_signals(alarm):
        echo(f"telling {', '.join(sink.name for sink in watched.sinks)}")
        watching.watch(watched, alarm, seconds, _teller())
    echo("the watch has ended", err=True)


@click.command()
@click.argument("name", metavar="SINK", type=SINK)
@click.pass_context
def test(context: click.Context, name: str) -> None:
    """Send a sink a message that says that it is a test, whatever else it asks for.

    Nothing is recorded. The exit code is 1 if it does not take it.

    \b
    Example:
      penstock alert test team
    """
    from penstock.metadata.alerts import Alert, End, Raised
    from penstock.operations.alerts.messages import Message
    from penstock.operations.alerts.sinks.sending import send
    from penstock.operations.alerts.sinks.undelivered import Undelivered
    from penstock.operations.alerts.telling import RAISED, Change

    [sink] = _sinks(context, (name,))
    now, who = datetime.now(UTC), this_user()
    summary = f"this is a test of the sink {name}, and nothing has happened"
    data = {"subjects": ["test"], "monitor": "penstock", "kind": "test"}
    alert = Alert("penstock.test", now.strftime("%Y-%m-%dT%H:%M:%SZ"), summary, now, "info", data)
    # It is over from the beginning, so that nothing stays open where alerts are kept.
    raised = Raised(alert, who, end=End(now, who, "it was a test"))
    message = Message(secrets.token_hex(12), name, (Change(RAISED, raised, now),))
    try:
        send(sink, message)
    except Undelivered as error:
        secho(f"{name}: {error.reason}", fg="red", err=True)
        context.exit(RUN_FAILED)
    echo(f"{name} has taken it")


def tell_of_run(context: click.Context, profile_name: str | None, run_id: str) -> None:
    """Tell the project's sinks what has come of a run, where penstock.toml asks for that.

    Who could not be told is said, and told by who delivers next.
    """
    config = project_config(context)
    if not (config.notifications and config.sinks):
        return
    from penstock.operations.alerts.watching import UNTOLD

    try:
        for delivery in _watched(context, (), profile_name).deliver_run(run_id):
            if delivery.taken:
                echo(f"  told       {delivery.sink}", err=True)
            if delivery.problem:
                secho(f"  told       not {delivery.sink}: {delivery.problem}", fg="red", err=True)
    except UNTOLD as error:
        secho(f"nobody was told of this run: {error}", fg="red", err=True)


def _watched(context: click.Context, names: Sequence[str], profile_name: str | None) -> Watched:
    """Return what tells the sinks of these names, or all, of a profile's alerts."""
    from penstock.operations.alerts.watching import Watched

    sinks = _sinks(context, names)
    config = project_config(context)
    return Watched(config, config.profile(profile_name), this_user(), sinks)


def _sinks(context: click.Context, names: Sequence[str]) -> list[Sink]:
    """Return the sinks of these names, or all.

    Raises:
      ConfigError: there is none, or none of a name.
    """
    config = project_config(context)
    where = str(config.path) if config.path else None
    for name in names:
        if name not in config.sinks:
            raise ConfigError(
                f"there is no sink {name!r}",
                path=where,
                hint=suggestion(name, config.sinks, noun="sink"),
            )
    if not config.sinks:
        raise ConfigError(
            "there are no sinks to tell",
            path=where,
            hint="Write a table [sinks.NAME] into penstock.toml.",
        )
    return [config.sinks[name] for name in dict.fromkeys(names or config.sinks)]


def _teller() -> Callable[[Sequence[Delivery], str], None]:
    """Return what prints deliveries, and what stands in the way only when it is something else."""
    said: dict[str, str] = {}

    def tell(deliveries: Sequence[Delivery], problem: str) -> None:
        for each in deliveries:
            if each.taken or said.get(each.sink, "") != each.problem:
                _print(each)
            said[each.sink] = each.problem
        if problem and said.get("") != problem:
            secho(problem, fg="red", err=True)
        said[""] = problem

    return tell


def _print(delivery: Delivery) -> None:
    from penstock.operations.alerts.messages import title

    for message in delivery.taken:
        echo(f"{delivery.sink}  {title(message)}")
    if delivery.busy:
        echo(f"{delivery.sink}  another process sends to it", err=True)
    again = f", again at {local_time(delivery.again)}" if delivery.again else ""
    if delivery.problem:
        secho(f"{delivery.sink}  {delivery.problem}{again}", fg="red", err=True)
    if delivery.waiting:
        echo(f"{delivery.sink}  {delivery.waiting} to be told later", err=True)


def _as_json(delivery: Delivery) -> dict[str, Any]:
    return {
        "sink": delivery.sink,
        "taken": [message.to_json() for message in delivery.taken],
        "problem": delivery.problem or None,
        "waiting": delivery.waiting,
        "again": delivery.again.isoformat() if delivery.again else None,
        "busy": delivery.busy,
    }
