"""What starts runs when something happens: looking at triggers, and what they have decided."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from penstock.errors import ConfigError, suggestion
from penstock.safety.users import user_and_machine
from penstock.surfaces.cli.completion import TRIGGER
from penstock.surfaces.cli.options import (
    RUN_FAILED,
    column,
    json_option,
    project_config,
)
from penstock.surfaces.cli.printing import echo, echo_json, secho, unread_output
from penstock.surfaces.cli.protection import PEM, check_tls, token_of

if TYPE_CHECKING:
    from datetime import datetime

    from penstock.operations.triggers.checking import Round, Watched
    from penstock.operations.triggers.records import Record
    from penstock.project.config import Config

_COLORS = {
    "waiting": "cyan",
    "intended": "cyan",
    "running": "cyan",
    "done": "green",
    "failed": "red",
    "canceled": "yellow",
}
_NAMES = click.argument("names", metavar="[NAME]...", nargs=-1, type=TRIGGER)


@click.group()
def trigger() -> None:
    """Start runs when something happens: data, a time, a run, an alert, an event.

    \b
    Examples:
      penstock trigger check
      penstock trigger watch new_month
    """


@trigger.command()
@_NAMES
@click.option("--now", metavar="TIME", help="Decide as if it were then, as 2026-05-01T06:00Z.")
@click.option("--wait", is_flag=True, help="Wait for the end of the runs under way.")
@json_option
@click.pass_context
def check(
    context: click.Context, names: tuple[str, ...], now: str | None, wait: bool, as_json: bool
) -> None:
    """Look at the triggers once, or at those named, and start the runs that are due.

    Asking again starts nothing twice. The exit code is 1 if a trigger could not be looked at, if a
    run could not be started, or, with --wait, if one failed.

    \b
    Examples:
      penstock trigger check
      penstock trigger check new_month --wait --json
    """
    from penstock.operations.triggers.watching import check_all
    from penstock.surfaces.cli.schedule import parse_time

    moment = parse_time(now)
    watched = _watched(context, names)
    rounds: list[Round] = []
    for looked in check_all(watched, moment):
        rounds.append(looked)
        if not as_json:
            _print_round(looked)
    if wait:
        for looked in _until_over(watched, moment):
            rounds.append(looked)
            if not as_json:
                _print_round(looked)
    failed = any(looked.problems or _failures(looked, wait) for looked in rounds)
    if as_json:
        with unread_output():
            echo_json([_round_as_json(looked) for looked in rounds])
    elif not any(looked.changed or looked.problems for looked in rounds):
        echo("nothing to do")
    if failed:
        context.exit(RUN_FAILED)


@trigger.command()
@_NAMES
@click.option(
    "--every",
    default="30s",
    show_default=True,
    metavar="INTERVAL",
    help="How often to look, as 30s, 5m or 1h; what arrives at --port is looked at at once.",
)
@click.option("--port", type=click.IntRange(0, 65535), help="Receive CloudEvents at this port.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen at.")
@click.option("--token", default="", help="Senders must send this token: '${env:NAME}'.")
@click.option("--tls-certificate", type=PEM, help="The server's certificate, in PEM.")
@click.option("--tls-key", type=PEM, help="Its key, in PEM.")
@click.option(
    "--without-tls", is_flag=True, help="Serve other machines without TLS, where others protect it."
)
@click.pass_context
def watch(
    context: click.Context,
    names: tuple[str, ...],
    every: str,
    port: int | None,
    host: str,
    token: str,
    tls_certificate: Path | None,
    tls_key: Path | None,
    without_tls: bool,
) -> None:
    """Look at the triggers again and again, or at those named, until Ctrl-C or SIGTERM.

    Several may watch at the same time. Runs that were started go on after the end, and what one
    watcher has not done when it is killed is taken up by the next.

    \b
    Examples:
      penstock trigger watch
      penstock trigger watch --host 0.0.0.0 --port 8080 --token '${env:TOKEN}' \\
          --tls-certificate server.pem --tls-key server.key
    """
    from penstock.operations.alarm import Alarm, ended_by_signals
    from penstock.operations.triggers import watching
    from penstock.project.intervals import parse_interval

    seconds = parse_interval(every)
    watched = _watched(context, names)
    if not watched:
        raise ConfigError(
            "there are no triggers to watch",
            hint="Write a table [triggers.NAME] into penstock.toml.",
        )
    alarm = Alarm()
    with ExitStack() as stack:
        stack.enter_context(ended_by_signals(alarm))
        if port is not None:
            check_tls(host, tls_certificate is not None, tls_key is not None, without_tls)
            config = project_config(context)
            given = token_of(token) or _new_token(host)
            tls = (tls_certificate, tls_key)
            stack.enter_context(_receiving(config, watched, alarm, host, port, given, tls))
        echo(f"watching {', '.join(one.name for one in watched)}")
        watching.watch(watched, alarm, seconds, _teller())
    echo("the watch has ended; runs that were started go on", err=True)


@trigger.command("list")
@json_option
@click.pass_context
def list_triggers(context: click.Context, as_json: bool) -> None:
    """List the triggers: what they wait for, what they start, and what they did last.

    \b
    Example:
      penstock trigger list
    """
    config = project_config(context)
    last = {name: _records(context, name)[-1:] for name in config.triggers}
    if as_json:
        content = [
            {
                "name": name,
                "when": {one.when.kind: getattr(one.when, one.when.kind)},
                "run": one.run,
                "profile": config.profile(one.profile).name,
                "concurrency": one.concurrency,
                "catch_up": one.catch_up,
                "last": _record_as_json(last[name][0]) if last[name] else None,
            }
            for name, one in config.triggers.items()
        ]
        echo_json(content)
        return
    if not config.triggers:
        echo("no triggers; a table [triggers.NAME] of penstock.toml makes one")
    for name, one in config.triggers.items():
        secho(name, bold=True, nl=False)
        echo(f"  {one.when.what}  runs {one.run} ({config.profile(one.profile).name})")
        for record in last[name]:
            _print_record(record, indent="    ")


@trigger.command()
@_NAMES
@click.option("--most", type=click.IntRange(min=1), default=20, show_default=True, help="How many.")
@json_option
@click.pass_context
def history(context: click.Context, names: tuple[str, ...], most: int, as_json: bool) -> None:
    """Show what triggers have decided, the newest first: what fired, what did not, and why.

    \b
    Examples:
      penstock trigger history new_month
      penstock trigger history --json
    """
    found = [
        (name, record) for name in _known(context, names) for record in _records(context, name)
    ]
    found.sort(key=lambda pair: (pair[1].decided, pair[1].entry.entry_id), reverse=True)
    found = found[:most]
    with unread_output():
        if as_json:
            content = [{"trigger": name, **_record_as_json(record)} for name, record in found]
            echo_json(content)
            return
        if not found:
            echo("nothing has been decided yet")
        titles = column(name for name, _ in found)
        for (_, record), title in zip(found, titles, strict=True):
            _print_record(record, indent=f"{title}  ")


def _known(context: click.Context, names: tuple[str, ...]) -> list[str]:
    """Return the triggers of these names, or all.

    Raises:
      ConfigError: there is none of a name.
    """
    config = project_config(context)
    for name in names:
        if name not in config.triggers:
            raise ConfigError(
                f"there is no trigger {name!r}",
                path=str(config.path) if config.path else None,
                hint=suggestion(name, config.triggers, noun="trigger"),
            )
    return list(dict.fromkeys(names or config.triggers))


def _watched(context: click.Context, names: tuple[str, ...]) -> list[Watched]:
    from penstock.operations.starting import starter_of
    from penstock.operations.triggers.checking import Watched

    config = project_config(context)
    starter, who = starter_of(config), user_and_machine()
    return [Watched(name, config, starter, who=who) for name in _known(context, names)]


def _until_over(watched: list[Watched], now: datetime | None) -> Iterator[Round]:
    """Look until no run of the triggers is under way; yield what has changed."""
    import time

    from penstock.operations.triggers.watching import check_all

    while any(record.active for one in watched for record in _records_of(one)):
        for looked in check_all(watched, now):
            yield looked
            if looked.problems:
                return
        time.sleep(0.3)


def _records(context: click.Context, name: str) -> list[Record]:
    [one] = _watched(context, (name,))
    return _records_of(one)


def _records_of(watched: Watched) -> list[Record]:
    from penstock.metadata.store import connect_or_empty

    # Looking makes no store.
    with connect_or_empty(watched.connection) as metadata:
        return watched.records(metadata.store)


def _failures(looked: Round, waited: bool) -> list[Record]:
    """Return runs that could not be started and, where their end was waited for, that failed."""
    failed = [record for record in looked.changed if record.state == "failed"]
    return [record for record in failed if waited or not record.run]


@contextmanager
def _receiving(
    config: Config,
    watched: list[Watched],
    alarm: Any,
    host: str,
    port: int,
    token: str,
    tls: tuple[Path | None, Path | None],
) -> Iterator[None]:
    from penstock.project import extras

    missing = extras.needed_by("penstock trigger watch --port", extras.EXTRAS["ui"])
    if missing is not None:
        raise missing
    from penstock.operations.triggers import receiving

    names = [one.name for one in watched]
    application = receiving.application(config, names, token, alarm.wake, who=user_and_machine())
    with receiving.serving(application, host, port, *tls) as listening:
        url_host = f"[{host}]" if ":" in host else host
        scheme = "https" if tls[0] else "http"
        echo(f"receiving CloudEvents at {scheme}://{url_host}:{listening}/")
        yield


def _new_token(host: str) -> str:
    """Return a token of our own, and show it: whoever sees this output may send events."""
    from penstock.surfaces.cli.protection import LOCAL

    if host not in LOCAL:
        raise ConfigError(
            f"without a token whoever reaches {host} could start runs",
            hint="Put one into an environment variable, and give --token '${env:NAME}'.",
        )
    token = secrets.token_urlsafe(24)
    echo(f"send the header  Authorization: Bearer {token}")
    return token


def _teller() -> Callable[[Round], None]:
    """Return what prints rounds, and what stands in the way only when it is something else."""
    said: dict[str, tuple[tuple[str, ...], bool]] = {}

    def tell(looked: Round) -> None:
        now = looked.problems, looked.busy
        is_new = said.get(looked.trigger) != now
        said[looked.trigger] = now
        _print_round(looked if is_new else replace(looked, problems=(), busy=False))

    return tell


def _print_round(looked: Round) -> None:
    for record in _latest(looked.changed):
        _print_record(record, indent=f"{looked.trigger}  ")
    if looked.busy:
        echo(f"{looked.trigger}  another process has it in hand", err=True)
    for problem in looked.problems:
        secho(f"{looked.trigger}  {problem}", fg="red", err=True)


def _print_record(record: Record, indent: str) -> None:
    echo(f"{indent}{record.decided.astimezone():%Y-%m-%d %H:%M:%S}  ", nl=False)
    secho(f"{record.state:<8}", fg=_COLORS.get(record.state), nl=False)
    echo(f"  {record.evidence.what}", nl=False)
    if record.run:
        echo(f"  run {record.run['run_id']}")
    else:
        echo(f"  {record.reason}")
    for text in (record.error, record.problem):
        if text:
            secho(f"{' ' * len(indent)}  {text}", fg="red")


def _record_as_json(record: Record) -> dict[str, Any]:
    return {
        "key": record.evidence.key,
        "what": record.evidence.what,
        "happened": record.evidence.at.isoformat(),
        "state": record.state,
        "reason": record.reason,
        "decided": record.decided.isoformat(),
        "fired": record.fired.isoformat() if record.fired else None,
        "ended": record.ended.isoformat() if record.ended else None,
        "who": record.entry.who,
        "parameters": dict(record.request.parameters) if record.request else None,
        "run": dict(record.run) or None,
        "error": record.error or None,
        "problem": record.problem or None,
    }


def _round_as_json(looked: Round) -> dict[str, Any]:
    return {
        "trigger": looked.trigger,
        "busy": looked.busy,
        "problems": list(looked.problems),
        "changed": [_record_as_json(record) for record in _latest(looked.changed)],
    }


def _latest(records: Iterable[Record]) -> list[Record]:
    """Return each record once, as it was written last."""
    return list({record.evidence.key: record for record in records}.values())
