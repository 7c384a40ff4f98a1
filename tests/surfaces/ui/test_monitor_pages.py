"""Pages of monitors, over a store with one of each kind of what may be in it."""

from __future__ import annotations

import re
import shutil
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest

from penstock.metadata.store import connect, connection_config
from penstock.operations.alerts.silences import silence
from penstock.operations.releases import records as releases
from penstock.operations.releases.records import PROMOTED, RELEASE, End
from penstock.operations.releases.stages import Plan
from penstock_support import browsing
from penstock_support import monitored_windows as monitored
from penstock_support.store_pages import pages_of, served, text

HOSTILE = '<img src="x">'
PHONE = {"viewport": {"width": 390, "height": 844}}
DESKTOP = {"viewport": {"width": 1280, "height": 900}}


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """A store with monitors: with a release and alerts, wide, hourly, without files, hostile."""
    folder = tmp_path_factory.mktemp("store")
    address = str(folder / "metadata.sqlite")
    with connect(connection_config(address)) as metadata:
        store = metadata.store
        monitored.write(store, folder, "flights", 14)
        monitored.write(store, folder, "wide", 2, features=60)
        monitored.write(store, folder, "hourly", 33, length=timedelta(hours=6))
        monitored.write(store, folder / "hostile", HOSTILE, 1)
        shutil.rmtree(monitored.judge(store, folder, "gone", monitored.report(0)))
        monitored.ring(store, "flights", "open", "drift of distance")
        monitored.ring(store, "flights", "over", f"drift of {HOSTILE}", is_over=True)
        monitored.ring(store, "wide", "quiet", "drift of all")
        now = datetime.now(UTC)
        silence(store, "wide.*", now, now + timedelta(hours=2), who="ada", why="a strike")
        begun = releases.begin(
            store,
            "flights",
            kind=RELEASE,
            model="m",
            candidate=4,
            production=3,
            alias="champion",
            target="t",
            plan=Plan(),
            after=None,
            who="ann",
            why="",
        )
        releases.conclude(store, begun, End(PROMOTED), monitored.BEGIN + timedelta(days=7))
    return address


@pytest.fixture(scope="module")
def pages(address):
    with connect(connection_config(address), create=False) as metadata:
        yield pages_of(metadata.store, monitors=("flights", "new"))


def test_monitors_are_listed_with_their_newest_window_and_their_open_alerts(pages):
    page = text(pages, "/monitors")
    row = page[page.index('<a href="/monitors/flights">') :].partition("</tr>")[0]
    assert "<td>2026-05-14 00:00</td>" in row
    assert " alarms</span>" in row
    assert '<a href="/alerts/flights.drift/open">drift of distance</a>' in row
    assert '<td class="n">14</td>' in row


def test_a_monitor_that_has_judged_nothing_is_listed_and_has_a_page(pages):
    assert '<a href="/monitors/new">new</a></th> <td>none was judged yet</td>' in text(
        pages, "/monitors"
    )
    assert "<code>penstock monitor run new</code>" in text(pages, "/monitors/new")


def test_without_monitors_the_list_says_how_to_have_one(tmp_path):
    with connect(connection_config(str(tmp_path / "metadata.sqlite"))) as metadata:
        assert "<code>[monitors.NAME]</code>" in text(pages_of(metadata.store), "/monitors")


def test_one_that_is_not_there_is_told(pages):
    answer = pages.get("/monitors/nobody")
    assert (answer.status_code, "there is no monitor nobody" in answer.text) == (404, True)


def test_all_that_is_measured_has_its_section(pages):
    page = text(pages, "/monitors/flights")
    found = re.findall(r'<h2 id="(\w+)">', page)
    measured = ["latency", "drift", "predictions", "performance", "fairness", "quality"]
    assert found == ["alerts", "traffic", *measured, "resources", "windows"]


def test_what_is_an_alarm_comes_first(pages):
    page = text(pages, "/monitors/flights")
    drift = page[page.index('<h2 id="drift">') :].partition("</section>")[0]
    titles = re.findall(r"<figcaption>(\S+?) ?<(?:span|/)", drift)
    assert titles[0] == "column_002"
    assert titles[-1] == "distance"
    assert drift.count('class="alarm"') == 6


def test_a_distance_stands_with_its_limit_and_the_newest_values_beside_the_baseline(pages):
    page = text(pages, "/monitors/flights?q=column_002")
    drift = page[page.index('<h2 id="drift">') :].partition("</section>")[0]
    assert 'class="limit"' in drift
    assert 'class="bars"' in drift
    assert 'class="baseline"' in drift
    assert "js 0.05, limit 0.02: its median is 55 where it was 50" in drift


def test_an_estimate_is_told_from_what_labels_have_shown(pages):
    page = text(pages, "/monitors/flights")
    performance = page[page.index('<h2 id="performance">') :].partition("</section>")[0]
    assert "measured, with labels</li>" in performance
    assert "estimate, without labels</li>" in performance
    assert 'class="line line-1 estimated"' in performance
    assert "in the window from 2026-05-10 00:00" in performance


def test_a_release_is_marked_in_the_charts(pages):
    page = text(pages, "/monitors/flights")
    assert "<title>release 1 of flights: m@4 promoted</title>" in page
    assert ">v4</text>" in page


def test_shares_of_versions_are_stacked(pages):
    page = text(pages, "/monitors/flights")
    assert "<title>version 3, 2026-05-07 00:00: 66.7 %</title>" in page
    assert "<title>version 4, 2026-05-07 00:00: 33.3 %</title>" in page


def test_alerts_stand_as_they_are_open_over_and_silenced(pages):
    page = text(pages, "/monitors/flights")
    assert '<a href="/alerts/flights.drift/open">flights.drift open</a></th> <td>open</td>' in page
    assert "2026-05-11 00:00:00 by ann: it is fine again" in page
    assert "silenced by ada: a strike" in text(pages, "/monitors/wide")


def test_of_many_features_some_are_drawn_and_the_rest_on_demand(pages):
    page = text(pages, "/monitors/wide")
    assert "<summary>36 more, in a table</summary>" in page
    drawn = page[page.index('<h2 id="drift">') :].partition("</section>")[0]
    assert drawn.count("<figcaption>") == 24
    assert 'href="?charts=all#drift"' in drawn
    every = text(pages, "/monitors/wide?charts=all")
    assert (
        every[every.index('<h2 id="drift">') :].partition("</section>")[0].count("<figcaption>")
        == 60
    )


def test_features_are_found_by_parts_of_their_names(pages):
    page = text(pages, "/monitors/wide?q=COLUMN_05")
    drift = page[page.index('<h2 id="drift">') :].partition("</section>")[0]
    found = re.findall(r"<figcaption>(\w+)", drift)
    assert found == [f"column_{n:03d}" for n in range(50, 60)]


def test_the_newest_thirty_windows_are_shown_or_all(pages):
    assert "The newest 30 of 33 windows are shown." in text(pages, "/monitors/hourly")
    every = text(pages, "/monitors/hourly?last=all")
    assert "windows are shown.</p>" not in every
    assert '<th scope="row">2026-05-01 00:00</th><td>2026-05-01 06:00</td>' in every


def test_a_window_whose_report_is_gone_says_so_and_is_shown_as_far_as_it_is_known(pages):
    page = text(pages, "/monitors/gone")
    assert "its report cannot be read: there is no report of a monitor" in page
    assert ">1,000</td>" in page


def test_a_window_has_its_run_and_why_it_was_judged(pages):
    page = text(pages, "/monitors/flights")
    assert '<a href="/runs/r">r</a></td><td>it is over, and was not judged yet</td>' in page


def test_what_anybody_has_named_is_text(pages):
    for page in (text(pages, "/monitors/flights"), text(pages, f"/monitors/{quote(HOSTILE)}")):
        assert "<script>alert" not in page
        assert "<img" not in page


@pytest.fixture(scope="module")
def site(address):
    with served(address) as found:
        yield found


@pytest.mark.parametrize(
    ("name", "size", "scheme"),
    [
        ("", PHONE, "light"),
        ("/flights", PHONE, "dark"),
        ("/flights", DESKTOP, "light"),
        ("/wide", DESKTOP, "dark"),
        ("/gone", PHONE, "light"),
    ],
)
def test_it_keeps_the_rules_of_accessibility_and_fits(chromium, site, name, size, scheme):
    with browsing.watched(chromium, color_scheme=scheme, **size) as shown:
        shown.page.goto(site.replace("/?", f"/monitors{name}?"))
        shown.page.evaluate("document.querySelectorAll('details').forEach((d) => (d.open = true))")
        assert shown.complaints == []
        assert shown.violations() == []
        width = shown.page.evaluate("document.documentElement.scrollWidth")
        assert width == size["viewport"]["width"]


def test_words_in_a_chart_do_not_overlap_and_can_be_read_on_a_phone(chromium, site):
    with browsing.watched(chromium, **PHONE) as shown:
        shown.page.goto(site.replace("/?", "/monitors/hourly?"))
        found = shown.page.evaluate(
            """() => [...document.querySelectorAll("svg.timeline")].map((svg) =>
              [...svg.querySelectorAll("text")].map((text) => {
                const box = text.getBoundingClientRect();
                return [box.left, box.top, box.right, box.bottom];
              }))"""
        )
    assert found
    for boxes in found:
        assert all(bottom - top > 9 for _, top, _, bottom in boxes)
        for number, (left, top, right, bottom) in enumerate(boxes):
            for other in boxes[number + 1 :]:
                apart = other[0] >= right or other[2] <= left
                assert apart or other[1] >= bottom - 2 or other[3] <= top + 2


def test_a_search_is_asked_with_its_form(chromium, site):
    with browsing.watched(chromium, **DESKTOP) as shown:
        shown.page.goto(site.replace("/?", "/monitors/wide?"))
        shown.page.get_by_label("Features").fill("column_059")
        shown.page.get_by_role("button", name="Show").click()
        drift = shown.page.locator("section[aria-labelledby=drift] figcaption")
        assert drift.all_inner_texts() == ["column_059"]
