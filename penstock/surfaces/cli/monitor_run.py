"""Judging windows of the logs of models that serve, and what came of that."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from penstock.errors import ConfigError, ParameterError, suggestion
from penstock.surfaces.cli.completion import MONITOR
from penstock.surfaces.cli.options import (
    RUN_FAILED,
    column,
    json_option,
    project_config,
)
from penstock.surfaces.cli.printing import echo, echo_json, secho, unread_output

if TYPE_CHECKING:
    from penstock.operations.monitors.judging import Monitored, Round
    from penstock.operations.monitors.records import Judgement
    from penstock.project.config import Config

# Something was measured that somebody should look at; other commands have no use for the code.
ALARMS = 3

_NAMES = click.argument("names", metavar="[NAME]...", nargs=-1, type=MONITOR)
_COLORS = {
    "fine": "green",
    "alarms": "red",
    "failed": "red",
    "unknown": "yellow",
    "being judged": "blue",
}


@click.command()
@_NAMES
@click.option("--now", metavar="TIME", help="Decide as if it were then, as 2026-05-01T06:00Z.")
@click.option(
    "--last", type=click.IntRange(0), metavar="N", help="Of windows that are due, the last N alone."
)
@click.option(
    "--again",
    multiple=True,
    metavar="WINDOW",
    help="Judge a window again, by when it begins, as 2026-05-01T00:00Z; may be repeated.",
)
@json_option
@click.pass_context
def run(
    context: click.Context,
    names: tuple[str, ...],
    now: str | None,
    last: int | None,
    again: tuple[str, ...],
    as_json: bool,
) -> None:
    """Judge the windows that are due, of all monitors or of those named: each by a run.

    A window is due when it is over, and again when more of it, or labels, have come. Asking again
    judges nothing twice. The exit code is 3 if something is an alarm, 1 if a window could not be
    judged, and 0 otherwise.

    \b
    Examples:
      penstock monitor run
      penstock monitor run flights --last 7 --json
    """
    from datetime import UTC, datetime

    from penstock.operations.alarm import Alarm, ended_by_signals
    from penstock.surfaces.cli.schedule import parse_time

    moment = parse_time(now) or datetime.now(UTC)
    keys = [window_key(text) for text in again]
    alarm = Alarm()
    rounds: list[Round] = []
    with ExitStack() as stack:
        stack.enter_context(ended_by_signals(alarm))
        for one in monitored(context, names, quiet=as_json):
            _check_keys(one, keys)
            rounds.append(one.run(moment, alarm, again=keys, most=last))
    if as_json:
        with unread_output():
            echo_json([_round_as_json(looked) for looked in rounds])
    else:
        _say_what_is_left(rounds)
    if any(looked.problems for looked in rounds):
        context.exit(RUN_FAILED)
    if any(looked.alarms for looked in rounds):
        context.exit(ALARMS)


@click.command()
@_NAMES
@click.option("--last", type=click.IntRange(1), default=10, show_default=True, metavar="N")
@json_option
@click.pass_context
def status(context: click.Context, names: tuple[str, ...], last: int, as_json: bool) -> None:
    """Show how the last windows were judged, and which alerts are open.

    The exit code is 3 where an alert is open.

    \b
    Example:
      penstock monitor status flights
    """
    from penstock.metadata.alerts import open_alerts
    from penstock.metadata.store import connect
    from penstock.operations.monitors.records import last_judgements

    content, ringing = [], False
    for one in monitored(context, names, quiet=True):
        name = one.monitor.name
        with connect(one.connection) as metadata:
            judged = last_judgements(metadata.store, name, last)
            alerts = [
                raised.alert
                for raised in open_alerts(metadata.store)
                if raised.alert.name.startswith(f"{name}.")
            ]
        ringing |= bool(alerts)
        content.append(
            {
                "monitor": name,
                "windows": [_as_json(judgement) for judgement in judged],
                "open_alerts": [
                    {"name": a.name, "key": a.key, "severity": a.severity, "summary": a.summary}
                    for a in alerts
                ],
            }
        )
        if not as_json:
            _print_status(name, judged, [(a.severity, a.summary) for a in alerts])
    if as_json:
        with unread_output():
            echo_json(content)
    if ringing:
        context.exit(ALARMS)


def window_key(text: str) -> str:
    """Return what a window is known by, of a time as somebody has written it."""
    from datetime import UTC

    from penstock.surfaces.cli.schedule import parse_time

    moment = parse_time(text)
    assert moment is not None
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%MZ")


def _check_keys(one: Monitored, keys: list[str]) -> None:
    known = {logged.window.key for logged in one.logged()} if keys else set()
    for key in keys:
        if key not in known:
            raise ParameterError(
                f"the log of {one.monitor.name} has no window {key}",
                hint=suggestion(key, sorted(known), noun="window"),
            )


def monitored(context: click.Context, names: tuple[str, ...], *, quiet: bool) -> list[Monitored]:
    """Return the monitors of the project, or those that are named.

    Raises:
      ConfigError: there is none, or none of a name.
    """
    from penstock.operations.monitors.judging import Monitored
    from penstock.operations.starting import starter_of

    config: Config = project_config(context)
    if not config.monitors:
        raise ConfigError(
            "there are no monitors", hint="Write a table [monitors.NAME] into penstock.toml."
        )
    for name in names:
        if name not in config.monitors:
            raise ConfigError(
                f"there is no monitor {name!r}",
                hint=suggestion(name, config.monitors, noun="monitor"),
            )
    told = (lambda _: None) if quiet else _print_judgement
    return [
        Monitored(config.monitors[name], config, starter_of(config), told=told)
        for name in names or config.monitors
    ]


def _print_judgement(judged: Judgement) -> None:
    echo(f"{judged.monitor}  {judged.window.key}  ", nl=False)
    _print_verdict(judged)
    for name in judged.alerts:
        echo(f"  alert {name} has changed: penstock alert show {name}")


def _print_verdict(judged: Judgement) -> None:
    secho(judged.verdict.ljust(7), fg=_COLORS[judged.verdict], nl=False)
    echo(f"  {_in_words(judged)}")


def _in_words(judged: Judgement) -> str:
    if judged.error:
        return judged.error.partition("\n")[0]
    summary = judged.summary
    parts = [f"{summary.rows:,} rows"]
    parts += [
        f"{alarms} of {fine + alarms} {kind}"
        for kind, (fine, alarms, _) in summary.counts.items()
        if alarms
    ]
    if summary.waiting:
        parts.append(f"{summary.waiting:,} wait for labels")
    return ", ".join(parts)


def _print_status(name: str, judged: list[Judgement], alerts: list[tuple[str, str]]) -> None:
    secho(name, bold=True)
    for key, one in zip(column(j.window.key for j in judged), judged, strict=True):
        echo(f"  {key}  ", nl=False)
        _print_verdict(one)
    if not judged:
        echo(f"  no window was judged yet: penstock monitor run {name}")
    for severity, summary in alerts:
        secho("  open alert", fg="red", nl=False)
        echo(f"  {severity}  {summary}")


def _say_what_is_left(rounds: list[Round]) -> None:
    for looked in rounds:
        if looked.busy:
            echo(f"{looked.monitor}: another process judges its windows", err=True)
        for problem in looked.problems:
            echo(f"{looked.monitor}: {problem}", err=True)
    if not any(looked.judged or looked.problems or looked.busy for looked in rounds):
        echo("nothing to do")


def _round_as_json(looked: Round) -> dict[str, Any]:
    return {
        "monitor": looked.monitor,
        "busy": looked.busy,
        "problems": list(looked.problems),
        "windows": [_as_json(judged) for judged in looked.judged],
    }


def _as_json(judged: Judgement) -> dict[str, Any]:
    summary = judged.summary
    return {
        "window": judged.window.to_json(),
        "state": judged.verdict,
        "why": judged.why,
        "run": judged.run_id,
        "error": judged.error,
        "rows": summary.rows,
        "versions": dict(summary.versions),
        "labeled": summary.labeled,
        "waiting": summary.waiting,
        "measures": {
            kind: dict(zip(("fine", "alarms", "unknown"), counts, strict=True))
            for kind, counts in summary.counts.items()
        },
        "alerts": list(judged.alerts),
        "reports": [str(Path(uri)) if "://" not in uri else uri for uri in summary.artifacts],
    }
