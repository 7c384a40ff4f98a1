from __future__ import annotations

import enum
import json
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.authoring import values
from penstock.errors import ParameterError, PipelineError

pytestmark = pytest.mark.core


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True)
class Inner:
    count: int
    color: Color = Color.RED


@dataclass(frozen=True)
class Outer:
    inner: Inner
    names: list[str] = field(default_factory=list)
    weights: dict[str, float] | None = None


inner_values = st.builds(Inner, st.integers(), st.sampled_from(Color))
outer_values = st.builds(
    Outer,
    inner_values,
    st.lists(st.text()),
    st.none() | st.dictionaries(st.text(), st.floats(allow_nan=False)),
)


@settings(deadline=None)
@given(outer_values)
def test_a_value_survives_being_written_down(value):
    assert values.convert(json.loads(values.encode(value)), Outer, "x") == value


@settings(deadline=None)
@given(outer_values)
def test_the_text_of_a_value_is_always_the_same(value):
    again = values.convert(value, Outer, "x")
    assert values.encode(value) == values.encode(again)


@given(st.one_of(st.text(), st.lists(st.integers()), st.none(), st.booleans()))
def test_whatever_is_not_an_int_is_refused_by_name(value):
    with pytest.raises(ParameterError, match=r"^x: expected int, got"):
        values.convert(value, int, "x")


def test_a_missing_field_is_named():
    with pytest.raises(ParameterError, match="x.inner: Inner needs the field 'count'"):
        values.convert({"inner": {}}, Outer, "x")


def test_a_place_inside_a_list_is_named():
    with pytest.raises(ParameterError, match=r"x\[1\]: expected str, got 3"):
        values.convert(["a", 3], list[str], "x")


@pytest.mark.parametrize(
    ("annotation", "text"),
    [
        (int, "int"),
        (list[str], "list[str]"),
        (dict[str, float] | None, "dict[str, float] | None"),
        (tuple[int, ...], "tuple[int, ...]"),
    ],
)
def test_an_annotation_is_described_as_written(annotation, text):
    assert values.describe(annotation) == text


@pytest.mark.parametrize(
    "use", [lambda p: p + 1, lambda p: f"{p}", bool, lambda p: p > 2, float, lambda p: 2 * p]
)
def test_computing_with_a_pipeline_parameter_is_refused_with_the_reason(use):
    with pytest.raises(PipelineError, match="'rows' has no value while the pipeline is defined"):
        use(values.PipelineParameter("rows", int, 3))


def test_a_pipeline_parameter_of_another_type_is_refused():
    with pytest.raises(ParameterError, match="got the pipeline parameter 'name' \\(str\\)"):
        values.convert(values.PipelineParameter("name", str, ""), int, "x")
