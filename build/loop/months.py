"""Twelve months of real flights, and what is planted among them."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from penstock.pipelines.flights.merged_table import LATE_MINUTES
from penstock.pipelines.flights.package_data import export_tables

YEAR = 2013
FEATURES = (
    "year",
    "month",
    "day",
    "weekday",
    "hour",
    "dep_delay",
    "carrier",
    "origin",
    "dest",
    "distance",
)


@dataclass(frozen=True)
class Asked:
    """A request: flights of a carrier that leave an airport within an hour."""

    request_id: str
    time: str
    rows: list[dict[str, Any]]
    labels: list[int]


def read_flights(folder: Path, share: float = 1.0) -> dict[int, pa.Table]:
    """Return the flights of each month that arrived, or an even share of them."""
    folder.mkdir(parents=True, exist_ok=True)
    export_tables(str(folder))
    table = pq.read_table(folder / "flights.parquet")
    table = table.filter(pc.and_(table["dep_delay"].is_valid(), table["arr_delay"].is_valid()))
    days = pa.array(
        [
            datetime(year, month, day, tzinfo=UTC).isoweekday()
            for year, month, day in zip(
                *(table[name].to_pylist() for name in ("year", "month", "day")), strict=True
            )
        ]
    )
    table = table.append_column("weekday", days)
    wanted = [*FEATURES, "arr_delay"]
    kinds = {name: pa.string() for name in ("carrier", "origin", "dest")}
    table = pa.table({n: table[n].cast(kinds.get(n, pa.int64())) for n in wanted})
    step = max(1, round(1 / share))
    table = table.take(pa.array(np.arange(0, table.num_rows, step)))
    return {month: table.filter(pc.equal(table["month"], month)) for month in range(1, 13)}


def start_of(month: int) -> datetime:
    """Return when a month begins; the thirteenth is the first of the next year."""
    return datetime(YEAR + (month - 1) // 12, (month - 1) % 12 + 1, 1, tzinfo=UTC)


def with_labels(flights: pa.Table, *, padded: bool = False) -> pa.Table:
    """Return flights with their label.

    `padded` plants a drift of the concept: airlines but those at JFK have put three quarters of an
    hour into their schedules, so that a late departure there says little any more.
    """
    delay = flights["arr_delay"].to_numpy().copy()
    if padded:
        delay = np.where(np.array(flights["origin"].to_pylist()) == "JFK", delay, delay - 45)
        place = flights.schema.get_field_index("arr_delay")
        flights = flights.set_column(place, "arr_delay", pa.array(delay))
    return flights.append_column("arrives_late", pa.array((delay >= LATE_MINUTES).astype(np.int64)))


def in_seconds(flights: pa.Table) -> pa.Table:
    """Return flights whose departure delay is in seconds: the source has changed a unit."""
    place = flights.schema.get_field_index("dep_delay")
    return flights.set_column(place, "dep_delay", pc.multiply(flights["dep_delay"], 60))


def arrive(folder: Path, month: int, flights: pa.Table, at: datetime) -> None:
    """Let the data of a month arrive, whole, at a time."""
    path = folder / "data" / f"month-{month}" / "flights.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(flights, path.with_suffix(".begun"))
    os.utime(path.with_suffix(".begun"), (at.timestamp(), at.timestamp()))
    path.with_suffix(".begun").rename(path)


def requests_of(flights: pa.Table) -> Iterator[Asked]:
    """Yield the requests of a month in the order of time."""
    groups: dict[tuple[int, int, str, str], list[dict[str, Any]]] = {}
    for row in flights.to_pylist():
        key = (row["day"], row["hour"], row["origin"], row["carrier"])
        groups.setdefault(key, []).append(row)
    for (day, hour, origin, carrier), rows in sorted(groups.items()):
        at = datetime(YEAR, rows[0]["month"], day, hour, tzinfo=UTC)
        yield Asked(
            f"{origin}-{carrier}-{at:%Y%m%dT%H}",
            at.isoformat(),
            [{name: row[name] for name in FEATURES} for row in rows],
            [row["arrives_late"] for row in rows],
        )


def tell_labels(folder: Path, month: int, requests: list[Asked]) -> None:
    """Let the outcomes of a month be known."""
    path = folder / "labels" / f"month-{month}" / "labels.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path.with_suffix(".begun"), "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["request_id", "row", "arrives_late"])
        for one in requests:
            writer.writerows([one.request_id, row, label] for row, label in enumerate(one.labels))
    path.with_suffix(".begun").rename(path)


def body_of(asked: Asked) -> bytes:
    """Return a request as it is sent."""
    return json.dumps(asked.rows).encode()
