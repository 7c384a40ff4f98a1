"""The options of commands that log predictions, and where penstock.toml says what they do not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import wraps
from pathlib import Path
from typing import Any

import click

from penstock.errors import ParameterError, suggestion
from penstock.project.config import Config
from penstock.project.deployments import Deployment, served_by
from penstock.project.prediction_log import LOG_SPANS, LogOptions

_OPTIONS = (
    click.option(
        "--log",
        type=click.Path(file_okay=False),
        metavar="FOLDER",
        help="Keep what was asked and answered as Parquet files below this folder.",
    ),
    click.option(
        "--log-percent",
        type=click.FloatRange(0, 100),
        metavar="PERCENT",
        help="The share of requests that are kept; by default all.",
    ),
    click.option(
        "--log-span",
        type=click.Choice(LOG_SPANS),
        help="The time of a folder of the log, in UTC; by default a day.",
    ),
    click.option(
        "--log-size",
        type=click.FloatRange(0.001),
        metavar="GB",
        help="The most that the log may have, by default 10; its oldest files are removed beyond.",
    ),
    click.option(
        "--log-without", multiple=True, metavar="COLUMN", help="A column that the log leaves out."
    ),
    click.option(
        "--log-hashed",
        multiple=True,
        metavar="COLUMN",
        help="A column of whose values the log keeps only which are equal.",
    ),
    click.option(
        "--log-truncated",
        multiple=True,
        metavar="COLUMN=SIZE",
        help="A column of texts of which the log keeps the beginning.",
    ),
    click.option(
        "--log-time-header",
        metavar="NAME",
        help="A header by which callers say of what time their request is.",
    ),
    click.option(
        "--log-write-every",
        metavar="INTERVAL",
        help="After how long what came is in a file, as 10s; by default a minute.",
    ),
    click.option(
        "--deployment",
        metavar="NAME",
        help="Log as this deployment of penstock.toml says, but for the options given here.",
    ),
)


@dataclass(frozen=True)
class GivenLog:
    """The options of a log that a command was given; those that it was not are None, or empty."""

    log: str | None = None
    log_percent: float | None = None
    log_span: str | None = None
    log_size: float | None = None
    log_without: tuple[str, ...] = ()
    log_hashed: tuple[str, ...] = ()
    log_truncated: tuple[str, ...] = ()
    log_time_header: str | None = None
    log_write_every: str | None = None
    deployment: str | None = None

    def options(self, config: Config, tables: tuple[Deployment, ...] = ()) -> LogOptions | None:
        """Return how predictions are logged; None where they are not.

        `tables` are the deployments that count where none was named.

        Raises:
          ParameterError: the deployment has no log, they have several, or there is no folder.
        """
        base = self._table(config, tables)
        sizes = dict(_size_of(text) for text in self.log_truncated)
        given = {
            "folder": self.log,
            "percent": self.log_percent,
            "span": self.log_span,
            "size": self.log_size,
            "without": self.log_without or None,
            "hashed": self.log_hashed or None,
            "truncated": sizes or None,
            "time_header": self.log_time_header,
            "write_every": self.log_write_every,
        }
        changed: dict[str, Any] = {
            name: value for name, value in given.items() if value is not None
        }
        if base is not None:
            return replace(base, **changed)
        if not changed:
            return None
        if self.log is None:
            option = f"--log-{next(iter(changed)).replace('_', '-')}"
            raise ParameterError(
                f"{option} says how a log is kept, and nothing says where",
                hint="Give --log FOLDER, or a table [deployments.NAME.log] in penstock.toml.",
            )
        return LogOptions(**changed)

    def _table(self, config: Config, tables: tuple[Deployment, ...]) -> LogOptions | None:
        if self.deployment is not None:
            named = config.deployments.get(self.deployment)
            if named is None:
                raise ParameterError(
                    f"there is no deployment {self.deployment!r}",
                    hint=suggestion(self.deployment, config.deployments, noun="deployment"),
                )
            if named.log is None and self.log is None:
                raise ParameterError(
                    f"the deployment {named.name} has no log",
                    hint=f"Give it a table [deployments.{named.name}.log] with a folder.",
                )
            return named.log
        logs = [table.log for table in tables if table.log is not None]
        if any(log != logs[0] for log in logs):
            names = ", ".join(table.name for table in tables if table.log is not None)
            raise ParameterError(
                f"the deployments {names} serve this model from one folder, and have other logs",
                hint="Say which is meant, by --deployment NAME, or give each a `state` of its own.",
            )
        return logs[0] if logs else None


def log_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of a log, as its argument `given_log`."""

    @wraps(command)
    def collecting(*arguments: Any, **values: Any) -> Any:
        of_log = {name: values.pop(name) for name in vars(GivenLog())}
        return command(*arguments, given_log=GivenLog(**of_log), **values)

    decorated: Callable[..., Any] = collecting
    for option in reversed(_OPTIONS):
        decorated = option(decorated)
    return decorated


def log_of_served(given: GivenLog, config: Config, model: str, state: Path) -> LogOptions | None:
    """Return how a server logs a model that it calls so; its state is in the folder `state`."""
    return given.options(config, served_by(config.deployments, model, state))


def _size_of(text: str) -> tuple[str, int]:
    name, _, size = text.rpartition("=")
    if not name or not size.isdecimal():
        raise ParameterError(f"--log-truncated takes COLUMN=SIZE, as note=100, and got {text!r}")
    return name, int(size)
