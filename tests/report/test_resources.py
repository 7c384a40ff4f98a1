from __future__ import annotations

from datetime import datetime
from types import SimpleNamespace

import pytest

from penstock.execution import resources
from penstock.execution.resources import Sample
from penstock.metadata.layout import resources_path
from penstock.metadata.runs import NodeRecord
from penstock.report import sparklines
from penstock.report.contents import RunNode
from penstock.report.resources import resources_of_node

MB = 1_000_000
NOW = datetime(2026, 5, 4)


@pytest.fixture
def shown(tmp_path):
    """What is shown of a node with these samples: shown(*samples, state=..., **measured)."""

    def show(*samples: Sample, state: str = "done", **measured: float):
        path = resources_path(str(tmp_path), "Train")
        resources.begin(path, 0.0)
        for sample in samples:
            resources.add(path, sample)
        record = NodeRecord("Train", state, 1, NOW, NOW, measured=measured)
        contents = SimpleNamespace(log_folder=str(tmp_path))
        return resources_of_node(contents, RunNode("Train", state, record=record))

    return show


def test_each_chart_says_in_words_what_it_shows(shown):
    taken = shown(
        Sample(0.0, 0.0, 100 * MB, 0, 0, 0), Sample(10.0, 20.0, 300 * MB, 5 * MB, 7 * MB, 9 * MB)
    )
    assert {chart.title: chart.told for chart in taken.charts} == {
        "CPU": "at most 2 cores, 20.0 s in all",
        "Memory": "at most 300 MB",
        "Read and written": "5.0 MB read, 7.0 MB written",
        "Disk": "at most 9.0 MB",
    }
    label = 'aria-label="CPU of Train over 10.0 s: at most 2 cores, 20.0 s in all"'
    assert label in taken.charts[0].picture


def test_a_peak_between_samples_that_the_system_has_counted_is_told(shown):
    taken = shown(
        Sample(0.0, 0.0, MB), Sample(1.0, 1.0, MB), peak_memory_bytes=900 * MB, cpu_seconds=1.5
    )
    assert [chart.told for chart in taken.charts] == [
        "at most 1 core, 1.5 s in all",
        "at most 900 MB",
    ]


def test_what_took_too_short_a_time_is_told_and_not_drawn(shown):
    taken = shown(Sample(0.0, 0.0, MB), Sample(0.2, 0.1, MB))
    assert [chart.picture for chart in taken.charts] == ["", ""]


def test_nothing_is_shown_of_a_node_from_the_cache(shown):
    assert shown(Sample(0.0, 0.0, MB), Sample(1.0, 1.0, MB), state="cached") is None


def test_a_line_alone_is_filled_to_the_foot():
    drawn = sparklines.draw([[(0, 1), (10, 2)]], 10, "of something")
    assert 'd="M0.0 48.0L0.0 25.5L300.0 3.0L300.0 48.0z"' in drawn


def test_nothing_but_zeros_is_drawn_at_the_foot():
    assert 'd="M0.0 48.0L300.0 48.0"' in sparklines.draw([[(0, 0), (10, 0)]], 10, "of nothing")


def test_an_empty_line_is_left_out():
    assert "line-0" not in sparklines.draw([[]], 10, "of nothing")
