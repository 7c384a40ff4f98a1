"""Alerts that people, or their programs, raise and resolve."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import click

from penstock.errors import ParameterError, StoreError
from penstock.project.alerting import SEVERITIES
from penstock.surfaces.cli.author import decision_options, who_option
from penstock.surfaces.cli.options import open_store, profile_option, store_config
from penstock.surfaces.cli.printing import echo


@click.command("raise")
@click.argument("name")
@click.option("--summary", required=True, metavar="TEXT", help="What has happened, in a line.")
@click.option(
    "--severity",
    type=click.Choice(SEVERITIES),
    default="warning",
    show_default=True,
    help="How bad.",
)
@click.option(
    "--key", metavar="TEXT", help="What makes it one alert and not two; by default the time."
)
@click.option("--subject", "subjects", metavar="TEXT", multiple=True, help="What it is about.")
@click.option(
    "--data",
    "given",
    metavar="NAME=VALUE",
    multiple=True,
    help="What was measured, with values as JSON or text; or a JSON object. May be repeated.",
)
@who_option
@profile_option
@click.pass_context
def raise_by_hand(
    context: click.Context,
    name: str,
    summary: str,
    severity: str,
    key: str | None,
    subjects: tuple[str, ...],
    given: tuple[str, ...],
    who: str,
    profile_name: str | None,
) -> None:
    """Raise an alert, which triggers, releases and sinks take as one of a monitor.

    Of one name and key there is one: raising it again changes nothing, and the exit code is 0.

    \b
    Examples:
      penstock alert raise flights.source --summary "the airport's feed is down"
      penstock alert raise flights.source --severity critical --key 2026-05-04 \\
          --summary "no rows" --data rows=0
    """
    from penstock.metadata.alerts import Alert, raise_alert
    from penstock.metadata.store import connect

    now = datetime.now(UTC)
    key = key or now.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    data = {**_data(given), **({"subjects": list(subjects)} if subjects else {})}
    with connect(store_config(context, profile_name)) as metadata:
        is_new = raise_alert(
            metadata.store, Alert(name, key, summary, now, severity, data), who=who
        )
    echo(f"raised {name} {key}" if is_new else f"there is an alert {name} {key} already")


@click.command()
@click.argument("name")
@click.argument("keys", metavar="[KEY]...", nargs=-1)
@decision_options
@profile_option
@click.pass_context
def resolve(
    context: click.Context,
    name: str,
    keys: tuple[str, ...],
    who: str,
    why: str,
    profile_name: str | None,
) -> None:
    """Say that alerts are over: those of the keys, or all open ones of the name.

    A monitor rings again where a window is an alarm that begins later than now.

    \b
    Examples:
      penstock alert resolve flights.drift --why "the sensor is mended"
      penstock alert resolve flights.source 2026-05-04
    """
    from penstock.metadata.alerts import End, open_alerts, resolve_alert

    end = End(datetime.now(UTC), who, why)
    with open_store(context, profile_name) as metadata:
        found = keys or [raised.alert.key for raised in open_alerts(metadata.store, name)]
        if not found:
            raise StoreError(f"there is no open alert {name!r}", hint="See: penstock alert list")
        for key in found:
            is_new = resolve_alert(metadata.store, name, key, end)
            echo(f"resolved {name} {key}" if is_new else f"{name} {key} was over already")


def _data(given: Iterable[str]) -> dict[str, Any]:
    data: dict[str, Any] = {}
    for text in given:
        if text.lstrip().startswith("{"):
            data |= _object(text)
            continue
        name, separator, value = text.partition("=")
        if not (name and separator):
            raise ParameterError(f"expected NAME=VALUE or a JSON object, got {text!r}")
        try:
            data[name] = json.loads(value)
        except ValueError:
            data[name] = value
    return data


def _object(text: str) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(text)
    except ValueError as error:
        raise ParameterError(f"expected a JSON object, got {text[:60]!r}: {error}") from None
    return content
