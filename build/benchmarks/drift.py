"""False alarms of drift, and how soon planted drift is found; writes docs/monitoring.md.

    python build/benchmarks/drift.py

Without drift: all flights of a year in a chance order are the baseline and twelve windows, twenty
times over. With drift: windows of flights in a chance order are changed by stated amounts, and
judged one after the other until one rings.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "build" / "loop"))

import months  # noqa: E402  # of the folder that was named just now

from penstock.monitoring.drifting import compare  # noqa: E402
from penstock.monitoring.measures import ALARM, DRIFT  # noqa: E402
from penstock.project.monitors import TESTS, DriftTests  # noqa: E402

PAGE = ROOT / "docs" / "monitoring.md"
BEGIN, END = "<!-- measured: drift -->", "<!-- end of measured: drift -->"
COLUMNS = ("weekday", "hour", "dep_delay", "carrier", "origin", "dest", "distance", "arr_delay")
ROUNDS, WINDOWS, SIZES = 20, 12, (200, 1000, 5000)
MOST_WINDOWS = 10


def shifted(deviations: float) -> Callable[[pa.Table, Any], pa.Table]:
    """Return what moves distances by so many standard deviations."""

    def change(table: pa.Table, _: Any) -> pa.Table:
        values = table["distance"].to_numpy().astype(float)
        moved = pa.array(values + deviations * 730.0)  # that of all flights
        return table.set_column(table.schema.get_field_index("distance"), "distance", moved)

    return change


def moved(share: float) -> Callable[[pa.Table, Any], pa.Table]:
    """Return what lets a share of all flights leave from JFK in place of elsewhere."""

    def change(table: pa.Table, random: Any) -> pa.Table:
        origins = np.array(table["origin"].to_pylist(), object)
        others = np.flatnonzero(origins != "JFK")
        chosen = random.choice(others, min(len(others), int(share * len(origins))), replace=False)
        origins[chosen] = "JFK"
        place = table.schema.get_field_index("origin")
        return table.set_column(place, "origin", pa.array(origins.tolist()))

    return change


CHANGES = {
    "distance + 0.1 standard deviations": ("distance", shifted(0.1)),
    "distance + 0.25": ("distance", shifted(0.25)),
    "distance + 0.5": ("distance", shifted(0.5)),
    "JFK has 5 points more": ("origin", moved(0.05)),
    "JFK has 10 points more": ("origin", moved(0.10)),
    "JFK has 20 points more": ("origin", moved(0.20)),
}


def false_alarms(flights: pa.Table, test: str, threshold: float | None) -> tuple[int, int]:
    """Return how many tests rang where nothing had changed, and how many there were."""
    rang = asked = 0
    for number in range(ROUNDS):
        order = np.random.default_rng(number).permutation(flights.num_rows)
        parts = [flights.take(pa.array(p)) for p in np.array_split(order, WINDOWS + 1)]
        tests = DriftTests(test=test, threshold=threshold)
        for window in parts[1:]:
            found = compare(window.slice(0, 2000), parts[0], tests, kind=DRIFT)
            rang += sum(one.measure.state == ALARM for one in found)
            asked += len(found)
    return rang, asked


def windows_until_found(
    flights: pa.Table, test: str, column: str, change: Any, size: int
) -> Iterator[int | None]:
    """Yield after how many windows of a size the change has rung, None where it has not."""
    tests = DriftTests(test=test)
    for number in range(ROUNDS):
        random = np.random.default_rng(number)
        order = random.permutation(flights.num_rows)
        baseline = flights.take(pa.array(order[:25_000]))
        later = order[25_000:]
        yield next(
            (
                place + 1
                for place in range(MOST_WINDOWS)
                if _rings(
                    flights,
                    baseline,
                    later[place * size : (place + 1) * size],
                    tests,
                    column,
                    change,
                    random,
                )
            ),
            None,
        )


def _rings(
    flights: pa.Table,
    baseline: pa.Table,
    rows: Any,
    tests: DriftTests,
    column: str,
    change: Any,
    random: Any,
) -> bool:
    window = change(flights.take(pa.array(rows)), random)
    found = compare(window, baseline, tests, kind=DRIFT)
    return any(one.measure.state == ALARM for one in found if one.measure.subject == column)


def main() -> None:
    """Measure, and write the tables."""
    with TemporaryDirectory() as folder:
        every = months.read_flights(Path(folder))
    flights = pa.concat_tables(every.values()).select(COLUMNS).combine_chunks()
    lines = [
        "| without drift | alarms of tests, by chance alone | with the usual threshold |",
        "|---|---|---|",
    ]
    for test in TESTS:
        cells = []
        for threshold in (0.0, None):
            rang, asked = false_alarms(flights, test, threshold)
            cells.append(f"{rang} of {asked:,} ({rang / asked:.2%})")
        lines.append(f"| `{test}` | {cells[0]} | {cells[1]} |")
    lines += [
        "",
        "| planted | rows a window | " + " | ".join(f"`{test}`" for test in TESTS) + " |",
        "|---|---|" + "---|" * len(TESTS),
    ]
    for name, (column, change) in CHANGES.items():
        for size in SIZES:
            cells = []
            for test in TESTS:
                found = list(windows_until_found(flights, test, column, change, size))
                known = [one for one in found if one is not None]
                cells.append(
                    f"{np.median(known):.0f} ({len(known)} of {len(found)})" if known else "never"
                )
            lines.append(f"| {name} | {size:,} | " + " | ".join(cells) + " |")
    text = "\n".join(lines)
    print(text)
    if PAGE.exists() and BEGIN in PAGE.read_text():
        before, _, rest = PAGE.read_text().partition(BEGIN)
        _, _, after = rest.partition(END)
        PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")


if __name__ == "__main__":
    main()
