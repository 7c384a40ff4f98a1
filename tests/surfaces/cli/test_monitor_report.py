"""The command that writes what a monitor saw: its file, its refusals, and its exit codes."""

from __future__ import annotations

import json
import re

import pytest
from click.testing import CliRunner

from penstock.errors import ConfigError, ParameterError, PenstockError, StorageError
from penstock.metadata.store import connect, connection_config
from penstock.surfaces.cli.main import penstock as group
from penstock_support import browsing
from penstock_support import monitored_windows as monitored

CONFIG = """
[profiles.default]
metadata = "metadata.sqlite"
[monitors.flights]
log = "log/flights"
[monitors.new]
log = "log/new"
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A project whose monitor has judged three windows, and a folder in it where commands run."""
    (tmp_path / "penstock.toml").write_text(CONFIG)
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    with connect(connection_config(str(tmp_path / "metadata.sqlite"))) as metadata:
        monitored.write(metadata.store, tmp_path, "flights", 3)
        monitored.ring(metadata.store, "flights", "a", f"drift of {monitored.HOSTILE}")
    return tmp_path


def report(*arguments: str) -> str:
    done = CliRunner().invoke(group, ("monitor", "report", *arguments))
    if isinstance(done.exception, PenstockError):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.output


def test_the_file_is_named_after_the_monitor_and_told(folder):
    assert report("flights") == "monitor-flights.html\n"
    page = (folder / "below" / "monitor-flights.html").read_text()
    assert "3 windows from 2026-05-01 00:00 to 2026-05-04 00:00 UTC" in page


def test_the_last_windows_are_shown_that_are_asked_for(folder):
    report("flights", "--last", "2")
    page = (folder / "below" / "monitor-flights.html").read_text()
    assert "2 windows from 2026-05-02 00:00" in page


def test_one_window_has_a_file_of_its_own(folder):
    said = json.loads(report("flights", "--window", "2026-05-02T00:00Z", "--json"))
    place = folder / "below" / "monitor-flights-2026-05-02T0000Z.html"
    assert said == {"monitor": "flights", "path": str(place), "windows": ["2026-05-02T00:00Z"]}
    assert "1 window from 2026-05-02 00:00" in place.read_text()


def test_an_output_may_be_in_a_folder_that_is_not_there_yet(folder):
    report("flights", "-o", "reports/may.html")
    assert (folder / "below" / "reports" / "may.html").exists()


def test_the_file_needs_nothing_else_and_what_it_shows_is_text(folder, chromium):
    report("flights")
    path = folder / "below" / "monitor-flights.html"
    text = path.read_text()
    assert "<script>alert" not in text
    assert re.findall(r'href="(?!#|data:)', text) == []
    with browsing.watched(chromium, viewport={"width": 390, "height": 844}) as shown:
        shown.page.goto(path.as_uri())
        assert shown.complaints == []
        assert [url for url in shown.requests if not url.startswith(("file:", "data:"))] == []
        assert shown.violations() == []
        assert shown.page.evaluate("document.documentElement.scrollWidth") == 390


@pytest.fixture(scope="module")
def chromium():
    with browsing.browser() as started:
        yield started


def test_a_monitor_that_is_not_there_is_refused(folder):
    with pytest.raises(ConfigError, match=r"there is no monitor 'flight'\. Did you mean 'flights'"):
        report("flight")


def test_a_monitor_that_has_judged_nothing_has_no_report(folder):
    with pytest.raises(ParameterError) as refused:
        report("new")
    assert str(refused.value) == (
        "no window of new was judged yet. Judge them: penstock monitor run new."
    )


def test_a_window_that_was_not_judged_is_refused(folder):
    with pytest.raises(
        ParameterError, match=r"no window 2026-05-09T00:00Z of flights was judged\. Did you mean"
    ):
        report("flights", "--window", "2026-05-09T00:00Z")


def test_one_window_and_the_last_ones_are_not_asked_for_at_once(folder):
    with pytest.raises(ParameterError, match="expected --window or --last, got both"):
        report("flights", "--window", "2026-05-02T00:00Z", "--last", "2")


def test_a_file_that_cannot_be_written_is_told(folder):
    (folder / "below" / "file").write_text("")
    with pytest.raises(StorageError, match=r"the report cannot be written to file/a\.html: "):
        report("flights", "-o", "file/a.html")
