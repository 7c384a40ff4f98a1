"""Alerts as the store has them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import click

from penstock.errors import StoreError
from penstock.surfaces.cli.options import (
    column,
    json_option,
    local_time,
    open_store,
    profile_option,
)
from penstock.surfaces.cli.printing import echo, echo_json, secho, unread_output

if TYPE_CHECKING:
    from penstock.metadata.alerts import Raised
    from penstock.operations.alerts.silences import Silence

COLORS = {"critical": "red", "warning": "yellow", "info": "cyan"}


@click.command("list")
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option("--open", "kind", flag_value="open", default=True, help="Those that are open.")
@click.option("--all", "kind", flag_value="all", help="Those that are over, too.")
@click.option("--most", type=click.IntRange(min=1), default=50, show_default=True, help="How many.")
@json_option
@profile_option
@click.pass_context
def list_alerts(
    context: click.Context,
    names: tuple[str, ...],
    kind: str,
    most: int,
    as_json: bool,
    profile_name: str | None,
) -> None:
    """List the open alerts, the newest first, or those whose names match one of the globs.

    \b
    Examples:
      penstock alert list
      penstock alert list 'flights.*' --all --json
    """
    from penstock.metadata.alerts import raised_alerts
    from penstock.operations.alerts.silences import silence_of, silences

    now = datetime.now(UTC)
    with open_store(context, profile_name) as metadata:
        known = silences(metadata.store)
        found = [
            raised
            for raised in reversed(raised_alerts(metadata.store))
            if (kind == "all" or raised.is_open) and _is_named(raised, names)
        ]
    shown = found[:most]
    holding = [silence_of(raised, known, now) if raised.is_open else None for raised in shown]
    with unread_output():
        if as_json:
            pairs = zip(shown, holding, strict=True)
            content = [alert_as_json(raised, silence) for raised, silence in pairs]
            echo_json(content)
            return
        if not shown:
            echo("no alerts" if kind == "all" else "no open alerts")
        _print(shown, holding)
        if len(found) > most:
            echo(f"and {len(found) - most} more; see them with --most", err=True)


@click.command()
@click.argument("name")
@click.argument("key", required=False)
@json_option
@profile_option
@click.pass_context
def show(
    context: click.Context, name: str, key: str | None, as_json: bool, profile_name: str | None
) -> None:
    """Show an alert: what was measured, what was added, its end, and who was told.

    Without KEY it is the last one of the name that is open, or else the last.

    \b
    Examples:
      penstock alert show flights.drift
      penstock alert show flights.drift 2026-05-04T12:00Z --json
    """
    from penstock.operations.alerts.notices import notices_of
    from penstock.operations.alerts.silences import silence_of, silences

    now = datetime.now(UTC)
    with open_store(context, profile_name) as metadata:
        raised = one_alert(metadata.store, name, key)
        silence = silence_of(raised, silences(metadata.store), now) if raised.is_open else None
        told = [
            {**vars(mention), "at": mention.at.isoformat()}
            for mention in notices_of(metadata.store, raised)
        ]
    with unread_output():
        if as_json:
            content = {**alert_as_json(raised, silence), "told": told}
            echo_json(content)
            return
        for line in _lines(raised, silence):
            echo(line)
        for each in told:
            at = datetime.fromisoformat(each["at"])
            problem = f"  {each['problem']}" if each["problem"] else ""
            echo(f"{'told':<12}{each['sink']}: {each['change']}  {local_time(at)}", nl=False)
            echo(f"  {each['state']}{problem}")


def one_alert(store: Any, name: str, key: str | None) -> Raised:
    """Return an alert by its key, or the last of a name, rather one that is open.

    Raises:
      StoreError: there is none.
    """
    from penstock.errors import suggestion
    from penstock.metadata.alerts import raised_alerts

    found = raised_alerts(store, name)
    if not found:
        names = {raised.alert.name for raised in raised_alerts(store)}
        hint = suggestion(name, names, noun="alert")
        raise StoreError(f"there is no alert {name!r}", hint=hint)
    if key is None:
        return next((each for each in reversed(found) if each.is_open), found[-1])
    for raised in found:
        if raised.alert.key == key:
            return raised
    keys = [raised.alert.key for raised in found]
    raise StoreError(f"there is no alert {name} of the key {key!r}", hint=suggestion(key, keys))


def alert_as_json(raised: Raised, silence: Silence | None) -> dict[str, Any]:
    """Return an alert as JSON values."""
    alert, end = raised.alert, raised.end
    return {
        "name": alert.name,
        "key": alert.key,
        "state": "open" if raised.is_open else "over",
        "severity": alert.severity,
        "summary": alert.summary,
        "at": alert.at.isoformat(),
        "who": raised.who,
        "subjects": list(raised.subjects),
        "data": dict(alert.data),
        "added": [
            {
                "at": addition.at.isoformat(),
                "subjects": list(addition.subjects),
                "measures": [dict(measure) for measure in addition.measures],
            }
            for addition in raised.additions
        ],
        "end": None if end is None else {"at": end.at.isoformat(), "who": end.who, "why": end.why},
        "silence": None if silence is None else silence.number,
    }


def _is_named(raised: Raised, globs: Sequence[str]) -> bool:
    return not globs or any(fnmatchcase(raised.alert.name, glob) for glob in globs)


def _print(shown: Sequence[Raised], holding: Sequence[Silence | None]) -> None:
    from penstock.operations.alerts.messages import one_line

    names = column(one_line(f"{raised.alert.name} {raised.alert.key}") for raised in shown)
    for raised, silence, name in zip(shown, holding, names, strict=True):
        alert = raised.alert
        state = "open" if raised.is_open else "over"
        echo(f"{local_time(alert.at)}  ", nl=False)
        secho(f"{alert.severity:<8}", fg=COLORS.get(alert.severity), nl=False)
        echo(f"  {state}  {name}  {one_line(alert.summary)}", nl=False)
        echo("" if silence is None else f"  (silence {silence.number})")


def _lines(raised: Raised, silence: Silence | None) -> Iterator[str]:
    from penstock.operations.alerts.messages import measures_as_text, one_line

    alert = raised.alert
    yield f"{'alert':<12}{one_line(alert.name)} {one_line(alert.key)}"
    yield f"{'summary':<12}{one_line(alert.summary)}"
    yield f"{'severity':<12}{alert.severity}"
    yield f"{'raised':<12}{local_time(alert.at)} by {one_line(raised.who)}"
    if raised.end is not None:
        why = f": {raised.end.why}" if raised.end.why else ""
        yield f"{'over':<12}{local_time(raised.end.at)} by {one_line(raised.end.who + why)}"
    if silence is not None:
        until = f"until {local_time(silence.end)} by {silence.who}: {silence.why}"
        yield f"{'silenced':<12}{silence.number}, {one_line(until)}"
    if alert.data.get("who"):
        yield f"{'responsible':<12}{one_line(str(alert.data['who']))}"
    if raised.subjects:
        yield f"{'about':<12}{one_line(', '.join(raised.subjects))}"
    for text in measures_as_text(alert.data.get("measures")):
        yield f"{'measured':<12}{text}"
    for addition in raised.additions:
        yield f"{'added':<12}{local_time(addition.at)} {one_line(', '.join(addition.subjects))}"
        for text in measures_as_text(addition.measures):
            yield f"{'measured':<12}{text}"
    known = ("measures", "subjects", "who", "sinks", "monitor", "kind")
    for name, value in alert.data.items():
        if name not in known:
            text = value if isinstance(value, str) else json.dumps(value)
            yield f"{one_line(name, 11):<12}{one_line(text)}"
