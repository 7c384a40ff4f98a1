"""Casting rows by a signature: what fits, what is an error, and where the error is."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import DataError
from penstock.models import Column, Signature
from penstock.models.rows import as_table
from penstock.models.signature import columns_of

SIGNATURE = Signature(
    (
        Column("age", "int64"),
        Column("income", "float64", optional=True),
        Column("city", "string"),
        Column("married", "bool", optional=True),
    )
)
ROW = {"age": 40, "income": 1.5, "city": "Oslo", "married": True}


def cast(rows, signature=SIGNATURE):
    return signature.cast(as_table(rows)).to_pylist()


def message(rows, signature=SIGNATURE) -> str:
    with pytest.raises(DataError) as caught:
        cast(rows, signature)
    return str(caught.value)


@pytest.mark.parametrize(
    "rows",
    [
        ROW,
        [ROW],
        {name: [value] for name, value in ROW.items()},
        {name: np.array([value]) for name, value in ROW.items()},
        pd.DataFrame([ROW]),
        pa.table({name: [value] for name, value in ROW.items()}),
        pa.RecordBatch.from_pylist([ROW]),
        {**ROW, "of no interest": object},
    ],
    ids=["dict", "dicts", "lists", "arrays", "frame", "table", "batch", "more"],
)
def test_rows_come_in_many_forms(rows):
    if isinstance(rows, dict) and "of no interest" in rows:
        rows = {**rows, "of no interest": "x"}
    assert cast(rows) == [ROW]


def test_columns_take_the_order_and_the_types_of_the_signature():
    table = SIGNATURE.cast(pa.table({"city": ["Rome"], "age": pa.array([3.0])}))
    assert table.schema.names == ["age", "income", "city", "married"]
    assert [str(kind) for kind in table.schema.types] == ["int64", "double", "string", "bool"]


def test_optional_columns_may_be_missing():
    assert cast({"age": 1, "city": "x"}) == [
        {"age": 1, "income": None, "city": "x", "married": None}
    ]


def test_lists_of_one_value_are_the_value():
    rows = pa.table({"age": [[1], [2]], "income": [[], [2.5]], "city": [[b"a"], [b"b"]]})
    assert [row["income"] for row in cast(rows)] == [None, 2.5]
    assert [row["city"] for row in cast(rows)] == ["a", "b"]


def test_missing_numbers_of_a_data_frame_are_missing():
    rows = pd.DataFrame({"age": [1, 2], "income": [np.nan, 1.0], "city": ["a", "b"]})
    assert [row["income"] for row in cast(rows)] == [None, 1.0]


def test_a_whole_number_may_come_as_a_float():
    assert cast({"age": 3.0, "city": "x"})[0]["age"] == 3


def test_truth_may_come_as_0_and_1():
    assert [r["married"] for r in cast({"age": [1, 2], "city": ["x", "y"], "married": [0, 1]})] == [
        False,
        True,
    ]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (
            {"city": "x"},
            "the model needs a column 'age', of type int64, and the rows have none (column age)",
        ),
        (
            {"aeg": 1, "city": "x"},
            "Did you mean 'aeg'?",
        ),
        (
            [ROW, {**ROW, "age": 1.5}],
            "row 1: expected a whole number, got 1.5 (float) (column age)",
        ),
        (
            [ROW, ROW, {**ROW, "age": None}],
            "row 2: expected a whole number, got nothing (column age). The model was made with no "
            "missing values in this column.",
        ),
        (
            {**ROW, "income": "much"},
            "row 0: expected a number, got 'much' (str) (column income)",
        ),
        ({**ROW, "city": 5}, "row 0: expected a text, got 5 (int) (column city)"),
        ({**ROW, "married": 2}, "row 0: expected true or false, got 2 (int) (column married)"),
        (
            [ROW, {**ROW, "city": 7}],
            "row 1: expected str as in the rows before, got 7 (int) (column city)",
        ),
        (
            pa.table({"age": [[1, 2]], "city": ["x"]}),
            "row 0: expected one value, got 2 (column age)",
        ),
        ({"age": [1, 2], "city": ["x"]}, "columns should be of one length: 'age' has 2, 'city' 1"),
        (17, "expected an Arrow table, a data frame or dicts, got int"),
    ],
)
def test_what_does_not_fit_is_told_with_row_and_column(rows, expected):
    assert expected in message(rows)


def test_the_first_row_that_does_not_fit_is_named_in_a_long_column():
    ages = [float(n) for n in range(1000)]
    ages[617] += 0.5
    assert message({"age": ages, "city": ["x"] * 1000}).startswith("row 617:")


def test_lists_have_the_size_that_the_signature_says():
    signature = Signature((Column("pixels", "float32", (3,)),))
    assert cast({"pixels": [[1.0, 2.0, 3.0]]}, signature) == [{"pixels": [1.0, 2.0, 3.0]}]
    assert "row 1: expected a list of 3 of values, each a number, got [1.0, 2.0] (list)" in message(
        pa.table({"pixels": [[1.0, 2.0, 3.0], [1.0, 2.0]]}), signature
    )


def test_a_value_stands_for_a_list_of_any_size():
    signature = Signature((Column("tags", "string", (None,), optional=True),))
    assert cast({"tags": pa.array(["a", None])}, signature) == [{"tags": ["a"]}, {"tags": None}]


def test_an_unknown_type_is_an_error():
    with pytest.raises(DataError) as caught:
        Column("x", "int63")
    assert "Did you mean 'int64'?" in str(caught.value)


def test_types_of_a_table_that_no_model_takes_are_an_error():
    with pytest.raises(DataError) as caught:
        columns_of(pa.schema([pa.field("when", pa.timestamp("s"))]))
    assert "this column is timestamp[s] (column when)" in str(caught.value)


columns = st.builds(
    Column,
    name=st.text(min_size=1),
    type=st.sampled_from(["bool", "int64", "float32", "float64", "string", "binary"]),
    shape=st.lists(st.none() | st.integers(1, 4), max_size=2).map(tuple),
    optional=st.booleans(),
    classes=st.none() | st.lists(st.integers() | st.text(), max_size=3).map(tuple),
)


@given(st.lists(columns, max_size=4).map(tuple), st.lists(columns, max_size=2).map(tuple))
def test_a_signature_survives_json(inputs, outputs):
    signature = Signature(inputs, outputs)
    assert Signature.from_json(json.loads(json.dumps(signature.to_json()))) == signature


@given(st.lists(st.none() | st.integers(-(2**53), 2**53), min_size=1))
def test_whole_numbers_survive_the_way_through_floats(values):
    signature = Signature((Column("n", "int64", optional=True),))
    floats = pa.array([None if v is None else float(v) for v in values], pa.float64())
    assert [row["n"] for row in cast(pa.table({"n": floats}), signature)] == values


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{"a": "x"}, {"a": "\ud800"}], r"row 1: expected a text, got '\ud800' (half a character)"),
        ([{"a": ["x", "\udfff"]}], "row 0: expected a text, got ['x', '"),
        ([{"\ud800": 1}], r"expected a text as a column's name, got '\ud800'"),
        ([{"a": 1}, {"a": 10**400}], "row 1: expected a number, got one of 1329 bits"),
    ],
)
def test_what_no_column_can_hold_is_a_fault_of_its_row(rows, said):
    with pytest.raises(DataError) as raised:
        as_table(rows)
    assert said in str(raised.value)
    assert str(raised.value).encode()
