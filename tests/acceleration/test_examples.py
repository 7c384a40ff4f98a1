"""CsvExampleGen of TFX by our engine: the same records in the same splits, and the same metadata.

TFX shuffles the records of a split, so they are equal as multisets: TFX has no order of its own.
"""

from __future__ import annotations

import pytest

ACCELERATED = (
    "ByKey",
    "Dates",
    "InputSplits",
    "MultiLine",
    "NoSplits",
    "Spans",
    "StaticRange",
    "Taxi",
)
pytestmark = pytest.mark.needs("tensorflow")


@pytest.fixture(scope="module")
def csv(run_both):
    return run_both("csv")


@pytest.mark.parametrize("node", ACCELERATED)
def test_an_accelerated_gen_writes_the_records_of_tfx_s_into_the_same_splits(csv, node):
    ours = csv.ours[node].records_by_split()
    assert sum(map(len, ours.values())) > 0
    assert ours == csv.tfx[node].records_by_split()


@pytest.mark.parametrize("node", ACCELERATED)
def test_an_accelerated_gen_leaves_the_metadata_of_tfx_s(csv, node):
    ours, theirs = csv.ours[node], csv.tfx[node]
    assert ours.execution == theirs.execution
    assert ours.artifacts == theirs.artifacts
    assert ours.events == theirs.events


@pytest.mark.parametrize("node", ACCELERATED)
def test_who_did_the_work_is_recorded(csv, node):
    assert csv.ours[node].done_by == "accelerated"
    assert csv.tfx[node].done_by == "TFX's executor: acceleration is off"


def test_plans_logs_and_reports_say_who_does_the_work(csv):
    ours = csv.told["ours"]
    assert ours["Taxi"]["planned"] == "accelerated"
    assert ours["Taxi"]["log"].startswith("accelerated\n")
    turned_off = "TFX's executor: acceleration is off for this node"
    assert ours["TurnedOff"]["planned"] == turned_off
    assert ours["TurnedOff"]["log"].startswith(f"{turned_off}\n")
    assert csv.told["report"].count("<small>accelerated</small>") == len(ACCELERATED)


def test_what_only_the_files_tell_stands_in_the_log_of_the_node(csv):
    assert csv.ours["HiddenFile"].done_by in csv.told["ours"]["HiddenFile"]["log"].splitlines()


def test_a_hidden_file_that_tfx_reads_is_left_to_tfx(csv):
    assert csv.ours["HiddenFile"].done_by == ("TFX's executor: the pattern '*' matches .b.csv")
    theirs = csv.tfx["HiddenFile"].records_by_split()
    assert csv.ours["HiddenFile"].records_by_split() == theirs


def test_what_neither_can_read_is_told_by_ours_which_names_the_place(csv):
    ours, theirs = csv.told["ours"]["Ragged"], csv.told["tfx"]["Ragged"]
    assert ours["state"] == theirs["state"] == "failed"
    assert "a.csv:3" in ours["error"]


def test_a_node_may_turn_acceleration_off(csv):
    assert csv.ours["TurnedOff"].done_by == "TFX's executor: acceleration is off for this node"
