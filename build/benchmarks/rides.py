"""Generated rides: 18 columns of mixed types, as the taxi data of TFX's template has them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv

SEED = 20131101

_PAYMENTS = ("Cash", "Credit Card", "No Charge", "Dispute", "Prcard", "Unknown", "Mobile", "Pcard")
_COMPANIES = tuple(
    f"{word} {kind} №{number}"
    for number, word in enumerate(
        ("Zürich", "Łódź", "Québec", "São Paulo", "Αθήνα", "東京", "Reykjavík", "Chicago") * 25
    )
    for kind in ("Taxi", "Cab")
)


def rides(rows: int, seed: int = SEED) -> pa.Table:
    """Return that many rides; a seed always gives the same ones."""
    random = np.random.default_rng(seed)

    def missing(values: Any, share: float) -> pa.Array:
        return pa.array(values, mask=random.random(rows) < share)

    def tracts() -> Any:
        return random.integers(17_031_010_000, 17_031_990_000, rows)

    miles = np.round(random.gamma(1.5, 2.5, rows), 2)
    fare = np.round(3.25 + 2.1 * miles + random.normal(0, 1, rows).clip(-2, 4), 2)
    payment = random.choice(len(_PAYMENTS), rows, p=_falling(len(_PAYMENTS)))
    pays_by_card = np.isin(payment, (1, 6))
    tips = np.where(pays_by_card, np.round(fare * random.gamma(4, 0.055, rows), 2), 0.0)
    companies = random.choice(len(_COMPANIES), rows, p=_falling(len(_COMPANIES)))
    start = random.integers(1_356_998_400, 1_420_070_400, rows)
    return pa.table(
        {
            "trip_start_hour": start // 3600 % 24,
            "trip_start_day": start // 86400 % 7 + 1,
            "trip_start_month": start // 2_629_800 % 12 + 1,
            "trip_seconds": random.integers(60, 5400, rows),
            "trip_miles": miles,
            "fare": fare,
            "tips": tips,
            "generous": (tips > 0.2 * fare).astype(np.int64),
            "payment_type": np.array(_PAYMENTS)[payment],
            "company": missing(np.array(_COMPANIES)[companies], 0.3),
            "pickup_community_area": random.integers(1, 78, rows),
            "dropoff_community_area": missing(random.integers(1, 78, rows), 0.03),
            "pickup_census_tract": missing(
                random.integers(17_031_010_000, 17_031_990_000, rows), 0.6
            ),
            "dropoff_census_tract": missing(
                random.integers(17_031_010_000, 17_031_990_000, rows), 0.6
            ),
            "pickup_latitude": np.round(random.normal(41.88, 0.05, rows), 6),
            "pickup_longitude": np.round(random.normal(-87.65, 0.05, rows), 6),
            "dropoff_latitude": missing(np.round(random.normal(41.88, 0.05, rows), 6), 0.03),
            "dropoff_longitude": missing(np.round(random.normal(-87.65, 0.05, rows), 6), 0.03),
        }
    )


def write_rides(folder: Path, rows: int) -> Path:
    """Write a CSV file of rides into a new folder, unless it is there; return the folder."""
    target = folder / f"rides-{rows}"
    if not (target / "rides.csv").exists():
        target.mkdir(parents=True, exist_ok=True)
        table = rides(rows)
        with open(target / "rides.part", "wb") as file:
            # TFX takes quotes for a part of the names, and Arrow puts them around all of these.
            file.write(",".join(table.column_names).encode() + b"\n")
            options = pa.csv.WriteOptions(include_header=False)
            pa.csv.write_csv(table, file, options)
        (target / "rides.part").rename(target / "rides.csv")
    return target


def _falling(count: int) -> Any:
    weights = 1 / np.arange(1, count + 1)
    return weights / weights.sum()
