"""The features of a flight, by what becomes of them; preprocessing, model and tests share these."""

from __future__ import annotations

LABEL = "arrives_late"

# Texts, each with a vocabulary of its own.
VOCABULARY_FEATURES = ("carrier", "origin", "dest", "manufacturer")

# Small whole numbers that serve as their own category: name and number of categories.
CATEGORIES = {"hour": 24, "weekday": 8}

# Numbers whose effect is no straight line: name and number of quantile buckets.
BUCKETS = {"dep_delay": 64, "distance": 16}

# Numbers scaled to mean 0 and variance 1; a missing one becomes 0, the mean.
SCALED_FEATURES = (
    "temp",
    "dewp",
    "humid",
    "wind_speed",
    "precip",
    "pressure",
    "visib",
    "seats",
)

# The year of the flight and that of the plane give the plane's age; the schedule's two times of
# day give the time that the airline plans for the trip.
AGE_FEATURES = ("year", "plane_year")
SCHEDULE_FEATURES = ("sched_dep_time", "sched_arr_time")

# Left out on purpose, each with its reason.
DROPPED_FEATURES = {
    "month": "a model for months to come should not lean on the months it has seen",
    "day": "says nothing about another month's flights",
    "flight": "a number that airlines give to other trips when they please",
    "tailnum": "thousands of planes, most of them rare; their year, maker and size are used",
    "wind_dir": "matters only relative to the runway in use, which the data does not tell",
}


def transformed(name: str) -> str:
    """Return the name of a feature after preprocessing."""
    return f"{name}_xf"


# What the model reads.
EMBEDDED = (*VOCABULARY_FEATURES, *CATEGORIES, *BUCKETS)
NUMBERS = (*SCALED_FEATURES, "plane_age", "scheduled_hours", "minutes_late", "hours_late")
