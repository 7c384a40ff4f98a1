"""The tables `notifications` of penstock.toml: which outcomes of a pipeline's runs are alerts.

[notifications.flights]
failed = "critical"                 # severities; "" is no alert
canceled = "info"
succeeded = "info"
sinks = ["team"]                    # who is told; by default all
who = "data team"
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from penstock.errors import ParameterError, suggestion
from penstock.project.alerting import SEVERITIES
from penstock.project.tables import read_table

OUTCOMES = ("failed", "canceled", "succeeded")


@dataclass(frozen=True)
class Notification:
    """How severe the outcomes of a pipeline's runs are; without a severity nobody is told.

    `pipeline` is the name that the runs are recorded under, by default that of the table. `who`
    says who is responsible; `sinks` are the ones that are told, None for all.
    """

    pipeline: str = ""
    failed: str = "critical"
    canceled: str = ""
    succeeded: str = ""
    who: str = ""
    sinks: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        for outcome in OUTCOMES:
            severity = getattr(self, outcome)
            if severity and severity not in SEVERITIES:
                raise ParameterError(
                    f"expected {outcome} of {', '.join(SEVERITIES)}, or nothing, got {severity!r}",
                    hint=suggestion(severity, SEVERITIES),
                )


def read_notifications(path: str, tables: Mapping[str, Any]) -> dict[str, Notification]:
    """Return the notifications of penstock.toml by the names of their pipelines.

    Raises:
      ConfigError: a key is unknown, or a value is not what is asked for.
    """
    read = {}
    for name, table in tables.items():
        key = f"notifications.{name}"
        given = {"pipeline": name, **table} if isinstance(table, Mapping) else table
        read[name] = read_table(Notification, given, key=key, path=path)
    return read
