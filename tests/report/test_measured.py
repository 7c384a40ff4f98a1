"""What monitors have measured in a run, in the run's report."""

from __future__ import annotations

import shutil

import pytest

from penstock.metadata.store import connect, connection_config
from penstock.report import write_report as write_page
from penstock.runners.local import LocalRunner
from penstock.testing import Silent
from penstock_support import monitored_windows as monitored
from penstock_support.watched_components import watching


@pytest.fixture
def page(tmp_path):
    """Run a monitor on so many features, and return the run's report: page(features)."""

    def written(features: int, *, is_gone: bool = False) -> str:
        address = str(tmp_path / "metadata.sqlite")
        runner = LocalRunner(pipeline_root=str(tmp_path), metadata=address, display=Silent())
        done = runner.run(watching, parameters={"features": features})
        if is_gone:
            shutil.rmtree(next(tmp_path.rglob("Watched/report")))
        with connect(connection_config(address), create=False) as metadata:
            write_page(metadata.store, done.run_id, str(tmp_path / "report.html"))
        return " ".join((tmp_path / "report.html").read_text().split())

    return written


def test_a_run_tells_its_alarms_first(page):
    text = page(3)
    assert '<a href="#monitoring">Monitoring</a>' in text
    section = text[text.index('<h2 id="monitoring">') :].partition("</section>")[0]
    assert "2026-05-14 00:00 to 2026-05-15 00:00 UTC: 1,000 rows" in section
    assert "<strong>2 alarms</strong>" in section
    states = section.split("<tbody>")[1].split("</tr>")
    assert ["alarm</span>" in state for state in states[:3]] == [True, True, False]


def test_of_many_measures_some_are_shown_and_the_rest_in_a_fold(page):
    assert "more measures</summary>" not in page(3)
    assert "<summary>40 more measures</summary>" in page(50)


def test_what_a_measure_is_named_is_text(page):
    assert monitored.HOSTILE not in page(3)


def test_a_report_that_is_gone_is_told(page):
    section = page(3, is_gone=True).partition('<h2 id="monitoring">')[2]
    assert "<strong>Could not be read:</strong> there is no report of a monitor" in section
