"""Pages of alerts, over a store that has an open one, one that is over, and one of hostile text."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from penstock.metadata.alerts import Alert, raise_alert
from penstock.metadata.store import connect, connection_config
from penstock.operations.alerts.delivering import deliver
from penstock.operations.alerts.silences import silence
from penstock.testing import FakeSink
from penstock_support.delivering import sink
from penstock_support.judging import NOW, judge_series
from penstock_support.store_pages import pages_of, text


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    connection = connection_config(str(folder / "metadata.sqlite"))
    now = datetime.now(UTC)
    with connect(connection) as metadata:
        store = metadata.store
        judge_series(store, "afa")
        raise_alert(store, Alert("<b>x</b>", "a/b", "<script>alert(1)</script>", now), who="eve")
        deliver(store, connection, [sink()], NOW, send=FakeSink(folder))
        silence(store, "flights.*", now, now + timedelta(hours=2), who="ada", why="a strike")
        yield pages_of(store)


def test_alerts_are_listed_the_open_ones_first_with_the_silences_that_hold(pages):
    page = text(pages, "/alerts")
    still_open = page.index("flights.drift 2026-05-04T02:00Z</a></th> <td>open, silenced until ")
    assert still_open < page.index("flights.drift 2026-05-04T00:00Z</a></th> <td>over</td>")
    assert "<td>ada</td><td>a strike</td>" in page


def test_an_alert_has_what_was_measured_and_who_was_told(pages):
    page = text(pages, "/alerts/flights.drift/2026-05-04T02:00Z")
    assert "<strong>Warning:</strong> drift of x: js is 0.21" in page
    assert '<th scope="row">Measured</th><td>x js: 0.21, limit 0.1</td>' in page
    assert '<td><a href="/monitors/flights">flights</a></td>' in page
    assert '<th scope="row">team</th><td>raised</td>' in page
    assert "by ada: a strike." in page


def test_an_alert_that_is_over_says_why(pages):
    assert "by monitor: it is fine again." in text(pages, "/alerts/flights.drift/2026-05-04T00:00Z")


def test_what_an_alert_says_is_text(pages):
    page = text(pages, "/alerts/<b>x</b>/a/b")
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script>alert" not in page


def test_one_that_is_not_there_is_told(pages):
    answer = pages.get("/alerts/flights.drift/never")
    assert (answer.status_code, "there is no alert flights.drift/never" in answer.text) == (
        404,
        True,
    )
