"""The tables of environments in penstock.toml, and the errors of those who write them."""

from __future__ import annotations

import pytest

from penstock.errors import ConfigError
from penstock.project.config import read_config
from penstock.project.environments import Environment, MetricGate

pytestmark = pytest.mark.core


@pytest.fixture
def read(tmp_path):
    def reading(table):
        path = tmp_path / "penstock.toml"
        path.write_text(f'[pipelines]\nflights = "flights.py:flights"\n[environments.e]\n{table}')
        return read_config(path).environments["e"]

    return reading


def test_a_table_becomes_an_environment(read):
    table = 'alias = "candidate"\n[environments.e.gates.auc]\nnot_worse_than = "champion"\n'
    gates = {"auc": MetricGate(not_worse_than="champion")}
    assert read(table) == Environment(name="e", alias="candidate", gates=gates)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ('alias = "Best!"', r"an alias cannot be named 'Best!' \(.*, environments\.e\.alias\)"),
        ('alias = "5"', "an alias cannot be named '5' .* not digits alone"),
        (
            '[environments.e.models]\nflights = "a b"',
            "a model cannot be named 'a b' .*e.models.fli",
        ),
        ('[environments.e.models]\nfligths = "a"', "there is no pipeline 'fligths' .*did you mean"),
        ('[environments.e.gates.auc]\nbetter_than = "1"', r"named '1' .*gates\.auc\.better_than"),
        (
            "[environments.e.gates.auc]\nat_least = nan",
            "expected a finite number, got nan .*at_leas",
        ),
        ("[environments.e.gates.auc]\nat_most = 1\ntolerance = -1", "expected 0 or more, got -1"),
        ("[environments.e.gates.auc]\nslices = true", "the gate asks for nothing"),
        (
            '[environments.e.schedules.flights]\ncron = "x y"',
            "expected 5 or 6 fields.*flights.cron",
        ),
        ('[environments.e.schedules.flights]\nevery = "soon"', "an interval .*flights.every"),
        ("[environments.e.schedules.flights]\n", "expected either cron or every"),
        ('needs = ["e"]', "an environment cannot need itself"),
        ('needs = ["f"]', "there is no environment 'f'"),
        ("chekcs = true", "chekcs.*checks"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(read, table, message):
    with pytest.raises(ConfigError, match="(?is)" + message):
        read(table)
