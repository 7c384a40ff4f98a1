"""What a server measured of itself, a minute at a time: answers, errors, seconds, resources.

    FOLDER/MODEL/measures/day-20421/part-<of whom>-<number>.parquet

An interval has a row for each version and role that answered or was to, of the kind `answers`, and
one for each process: the `router`, the `worker`s, and the `log`. It is in the span in which it
began.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from penstock.serving.sketches import Sketch, added, quantile

ANSWERS, ROUTER, WORKER, LOG = "answers", "router", "worker", "log"

_TIME = pa.timestamp("us", tz="UTC")
_QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
# What a request came to that was not answered well, by its status; 4xx and 5xx are the others.
_KINDS = {429: "refused", 499: "gone", 503: "unavailable", 504: "timeouts"}
_ERRORS = ("refused", "bad_requests", "gone", "model_errors", "unavailable", "timeouts")

SCHEMA = pa.schema(
    [
        ("time", _TIME),
        ("seconds", pa.float64()),
        ("server", pa.string()),
        ("kind", pa.string()),
        ("version", pa.int64()),
        ("role", pa.string()),
        ("requests", pa.int64()),
        ("rows", pa.int64()),
        *((name, pa.int64()) for name in _ERRORS),
        *((name, pa.float64()) for name in (*_QUANTILES, "max")),
        ("latency", pa.map_(pa.int32(), pa.int64())),
        ("log_dropped", pa.int64()),
        ("process", pa.int64()),
        ("cpu_seconds", pa.float64()),
        ("memory_bytes", pa.int64()),
    ]
)


def kind_of_error(status: int) -> str | None:
    """Return the column that counts answers of a status; None for those that are no errors."""
    if status < 400:
        return None
    return _KINDS.get(status, "bad_requests" if status < 500 else "model_errors")


def measures_of(told: Mapping[str, Any]) -> pa.Table:
    """Return an interval as a server tells it, in JSON values, as rows."""
    shared = {
        "time": int(told["time"] * 1e6),
        "seconds": told["seconds"],
        "server": told["server"],
    }
    rows = [{**shared, **_of_answers(entry)} for entry in told["answers"]]
    rows += [{**shared, **entry} for entry in told["processes"]]
    columns = {
        field.name: pa.array([row.get(field.name) for row in rows], field.type) for field in SCHEMA
    }
    return pa.table(columns, schema=SCHEMA)


def _of_answers(entry: Mapping[str, Any]) -> dict[str, Any]:
    statuses = {int(status): count for status, count in entry["statuses"].items()}
    latency = {int(key): count for key, count in entry["latency"].items()}
    errors = dict.fromkeys(_ERRORS, 0)
    for status, count in statuses.items():
        kind = kind_of_error(status)
        if kind is not None:
            errors[kind] += count
    return {
        "kind": ANSWERS,
        "version": entry["version"] or None,
        "role": entry["role"],
        "requests": sum(statuses.values()),
        "rows": entry["rows"],
        **errors,
        **{name: quantile(latency, share) for name, share in _QUANTILES.items()},
        "max": entry["longest"] if latency else None,
        "latency": sorted(latency.items()),
        "log_dropped": entry["log_dropped"],
    }


def latency_of(measures: pa.Table) -> Sketch:
    """Return the seconds of all answers that measures have, as one sketch."""
    told = [dict(entry) for entry in measures.column("latency").to_pylist() if entry]
    return added(told)
