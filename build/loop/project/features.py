"""What the model sees of a flight."""

from __future__ import annotations

from penstock.models import features
from penstock.models.transforming import Columns, Expression


@features
def flight_features(columns: Columns) -> dict[str, Expression]:
    """Describe what is known when a flight leaves its gate."""
    return {
        "dep_delay": columns.dep_delay.clipped(-30, 360),
        "hour": columns.hour,
        "weekday": columns.weekday,
        "distance": columns.distance.log1p(),
        "carrier": columns.carrier.indexed(),
        "origin": columns.origin.indexed(),
        "dest": columns.dest.filled("unknown").indexed(min_count=20),
    }
