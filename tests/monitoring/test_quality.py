"""Whether what is asked is what it should be: by a schema, and by rows."""

from __future__ import annotations

import pyarrow as pa
import pytest
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from penstock.errors import ParameterError
from penstock.monitoring.measures import ALARM, FINE, UNKNOWN
from penstock.monitoring.quality import (
    MISSING,
    OUT_OF_RANGE,
    UNHEARD,
    Expectation,
    check,
    expected_by_rows,
    expected_by_schema,
)
from penstock.project.monitors import QualityTests

pytestmark = pytest.mark.core

SCHEMA = text_format.Parse(
    """
    feature { name: "origin" type: BYTES domain: "airports" presence { min_fraction: 1.0 } }
    feature { name: "carrier" type: BYTES string_domain { value: "AA" value: "DL" }
              distribution_constraints { min_domain_mass: 0.8 } presence { min_fraction: 1.0 } }
    feature { name: "hour" type: INT int_domain { min: 0 max: 23 } presence { min_fraction: 0.5 } }
    feature { name: "distance" type: FLOAT float_domain { min: 0 } }
    feature { name: "late" type: INT bool_domain {} not_in_environment: "SERVING" }
    feature { name: "old" type: INT lifecycle_stage: DEPRECATED int_domain { max: 0 } }
    string_domain { name: "airports" value: "JFK" value: "LGA" }
    default_environment: "TRAINING"
    default_environment: "SERVING"
    """,
    schema_pb2.Schema(),
)
GOOD = {"origin": ["JFK", "LGA"], "carrier": ["AA", "DL"], "hour": [0, 23], "distance": [1.0, 2.0]}


def found(columns, tests=QualityTests(), expectations=None, times=200):
    table = pa.table({name: values * times for name, values in columns.items()})
    expected = expectations or expected_by_schema(SCHEMA, "SERVING")
    return {(one.subject, one.name): one for one in check(table, expected, tests)}


def alarms(columns, **arguments):
    return sorted(key for key, one in found(columns, **arguments).items() if one.state == ALARM)


def test_what_the_schema_asks_for_is_fine():
    assert {one.state for one in found(GOOD).values()} == {FINE}


def test_a_value_that_the_domain_does_not_have_rings_and_is_shown():
    one = found({**GOOD, "origin": ["JFK", "ORD"]})["origin", UNHEARD]
    assert one.state == ALARM
    assert one.why == "200 of 400 values are not expected: 'ORD' (200)"


def test_a_domain_of_a_feature_and_one_by_name_are_both_asked():
    assert alarms({**GOOD, "origin": ["X", "X"], "carrier": ["X", "X"]}) == [
        ("carrier", UNHEARD),
        ("origin", UNHEARD),
    ]


def test_a_share_outside_of_the_domain_is_allowed_where_the_schema_says_so():
    columns = {name: values * 5 for name, values in GOOD.items()}
    assert alarms({**columns, "carrier": ["AA"] * 9 + ["X"]}) == []
    assert alarms({**columns, "carrier": ["AA"] * 6 + ["X"] * 4}) == [("carrier", UNHEARD)]


@pytest.mark.parametrize(("hours", "text"), [([0, 24], "24 to 24"), ([-5, 3], "-5 to -5")])
def test_a_number_out_of_range_rings(hours, text):
    one = found({**GOOD, "hour": hours})["hour", OUT_OF_RANGE]
    assert one.state == ALARM
    assert one.why == f"200 of 400 values are not from 0 to 23, but from {text}"


def test_a_range_may_be_open_at_one_end():
    assert alarms({**GOOD, "distance": [-1.0, 1e12]}) == [("distance", OUT_OF_RANGE)]


def test_more_missing_values_than_the_schema_allows_ring():
    assert alarms({**GOOD, "origin": ["JFK", None], "hour": [None, 3]}) == [("origin", MISSING)]


def test_a_column_that_is_not_there_rings_if_it_is_asked_for():
    columns = {name: values for name, values in GOOD.items() if name != "origin"}
    one = found(columns)["origin", MISSING]
    assert (one.state, one.why) == (ALARM, "the column is not there")


def test_of_a_feature_that_may_always_be_missing_its_presence_is_not_asked():
    assert ("distance", MISSING) not in found(GOOD)


def test_only_the_features_of_the_environment_are_asked():
    assert {e.feature for e in expected_by_schema(SCHEMA)} == {*GOOD, "late"}
    assert {e.feature for e in expected_by_schema(SCHEMA, "SERVING")} == set(GOOD)


def test_a_few_values_by_mistake_are_tolerated():
    columns = {name: values * 100 for name, values in GOOD.items()}
    assert alarms({**columns, "origin": ["JFK"] * 199 + ["XXX"]}, times=5) == []


def test_a_feature_may_have_a_tolerance_of_its_own_or_be_left_out():
    bad = {**GOOD, "origin": ["JFK", "ORD"], "hour": [30, 40]}
    tests = QualityTests(features={"orig*": 0.6}, without=("hour",))
    assert alarms(bad, tests=tests) == []


def test_of_few_rows_nothing_is_said():
    states = {one.state for one in found({**GOOD, "origin": ["X", "X"]}, times=5).values()}
    assert states == {UNKNOWN}


def test_rows_say_what_is_to_be_expected_without_a_schema():
    rows = pa.table({"city": ["Oslo", "Rome"] * 50, "age": list(range(100)), "name": [None] * 100})
    expected = {one.feature: one for one in expected_by_rows(rows)}
    assert expected["city"].values == {"Oslo", "Rome"}
    assert (expected["age"].low, expected["age"].high) == (-9.9, 108.9)
    assert expected["name"].missing == 1


def test_texts_of_many_values_are_expected_to_have_others():
    rows = pa.table({"name": [f"name-{n}" for n in range(100)]})
    assert expected_by_rows(rows) == [Expectation("name", missing=0.0)]


def test_a_unit_that_changes_is_out_of_the_range_of_the_rows():
    expected = expected_by_rows(pa.table({"miles": [float(n) for n in range(100, 2600)]}))
    kilometers = {"miles": [1.609 * n for n in range(100, 2600)]}
    assert alarms(kilometers, expectations=expected, times=1) == [("miles", OUT_OF_RANGE)]


@pytest.mark.parametrize("tolerance", [-0.1, 1.0])
def test_a_tolerance_is_a_share(tolerance):
    with pytest.raises(ParameterError, match="expected a tolerance of 0 to below 1"):
        QualityTests(tolerance=tolerance)


@pytest.mark.needs("tensorflow_data_validation")
def test_what_rings_is_an_anomaly_of_tensorflow_data_validation_too():
    import pandas as pd
    import tensorflow_data_validation as tfdv

    columns = {
        "origin": ["JFK", "ORD"] * 100,
        "carrier": ["AA"] * 120 + ["X"] * 80,
        "hour": [1, 24] * 100,
        "distance": [-1.0, 5.0] * 100,
    }
    statistics = tfdv.generate_statistics_from_dataframe(pd.DataFrame(columns))
    found = tfdv.validate_statistics(statistics, SCHEMA, environment="SERVING")
    assert {name for name, _ in alarms(columns, times=1)} == set(found.anomaly_info)
