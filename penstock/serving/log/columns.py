"""The columns of a prediction log beside the features, and what features are called there."""

from __future__ import annotations

import re

import pyarrow as pa

REQUEST, ROW, TIME = "log/request_id", "log/row", "log/time"
VERSION, ROLE, SECONDS = "log/version", "log/role", "log/seconds"
CLASS, SCORE = "log/class", "log/score"
OWN_TYPES = {
    REQUEST: pa.string(),
    ROW: pa.int64(),
    TIME: pa.timestamp("us", tz="UTC"),
    VERSION: pa.int64(),
    ROLE: pa.string(),
    SECONDS: pa.float32(),
    CLASS: pa.string(),
    SCORE: pa.float64(),
}

_TAKEN = re.compile(r"(feature/)*log/")


def feature_column(name: str) -> str:
    """Return what a feature is called in a log: as it is, unless that might be a log's own column.

    `log/x` is `feature/log/x`, and that would be `feature/feature/log/x`, so no two are one.
    """
    return f"feature/{name}" if _TAKEN.match(name) else name
