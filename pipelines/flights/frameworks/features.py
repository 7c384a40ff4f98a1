"""What the models of each framework see of a flight; kept with the model, and served with it."""

from __future__ import annotations

import math

from penstock.models import features
from penstock.models.transforming import Columns, Expression
from penstock.pipelines.flights import features as f

_UNKNOWN = "unknown"
# A value that comes less often says little of itself.
_MIN_COUNT = 20


def _shared(columns: Columns) -> dict[str, Expression]:
    """Return what trees and networks see alike: numbers with what a person knows of them."""
    leaves, arrives = (_minute_of_day(columns[name]) for name in f.SCHEDULE_FEATURES)
    return {
        "minutes_late": columns.dep_delay.clipped(-30, 60),
        "hours_late": (columns.dep_delay.clipped(0, 24 * 60) / 60).log1p(),
        "scheduled_minutes": (arrives - leaves) % (24 * 60),
        "distance": columns.distance.log1p(),
        "plane_age": (columns.year - columns.plane_year).clipped(0, 50),
        "hour": columns.hour,
        **{name: columns[name] for name in f.SCALED_FEATURES},
    }


@features
def tree_features(columns: Columns) -> dict[str, Expression]:
    """Describe features for trees: texts as numbers of a vocabulary, missing values as they are."""
    return {
        **_shared(columns),
        "weekday": columns.weekday,
        **{
            name: columns[name].filled(_UNKNOWN).indexed(min_count=_MIN_COUNT)
            for name in f.VOCABULARY_FEATURES
        },
    }


@features
def network_features(columns: Columns) -> dict[str, Expression]:
    """Describe features for networks: numbers about 0, none missing, a column for each text."""
    turn = 2 * math.pi / 24
    described = {
        name: expression.filled_with_median().standardized()
        for name, expression in _shared(columns).items()
    }
    described |= {
        "hour_sine": (columns.hour * turn).sin(),
        "hour_cosine": (columns.hour * turn).cos(),
        "weekday": columns.weekday.one_hot(),
        "delay_bucket": columns.dep_delay.bucketized(64).one_hot(),
    }
    for name in f.VOCABULARY_FEATURES:
        described[name] = columns[name].filled(_UNKNOWN).one_hot(min_count=_MIN_COUNT)
    return described


def _minute_of_day(clock: Expression) -> Expression:
    """Return the minute that a clock time such as 1745 stands for."""
    return clock // 100 * 60 + clock % 100
