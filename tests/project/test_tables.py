"""Tables as frozen dataclasses: what stands in a field is what its type says."""

from __future__ import annotations

import enum
from dataclasses import dataclass

import pytest

from penstock.errors import ConfigError
from penstock.project.tables import as_table, read_table

pytestmark = pytest.mark.core


class Light(enum.Enum):
    RED = "red"
    GREEN = "green"


@dataclass(frozen=True)
class Crossing:
    light: Light
    cars: int = 0


@dataclass(frozen=True)
class Inside:
    number: int = 0


def test_an_enumeration_is_read_and_written_by_its_value():
    crossing = read_table(Crossing, {"light": "green", "cars": 2})
    assert crossing == Crossing(Light.GREEN, 2)
    assert as_table(crossing) == {"light": "green", "cars": 2}


def test_another_value_of_an_enumeration_is_told_with_those_that_there_are():
    with pytest.raises(ConfigError, match=r"expected one of 'red', 'green', got 'blue'.*a\.light"):
        read_table(Crossing, {"light": "blue"}, key="a")


@dataclass(frozen=True)
class Nested:
    inside: Inside | None = None


def test_what_may_be_missing_may_be_none():
    assert read_table(Nested, {"inside": None}) == Nested()


def test_what_may_not_be_missing_may_not_be_none():
    with pytest.raises(ConfigError, match="expected a whole number, got None"):
        read_table(Inside, {"number": None})
