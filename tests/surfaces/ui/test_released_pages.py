"""Pages of releases, over a store that has one of each end."""

from __future__ import annotations

import pytest

from penstock.metadata.store import connect
from penstock_support import releases as project
from penstock_support.releases import answers, brought_to_its_end, looked, seen
from penstock_support.store_pages import pages_of, text


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Pages over a store with a release that was rolled back, a good one, and one under way."""
    folder = tmp_path_factory.mktemp("project")
    project.write(folder, versions=3)
    target = project.target_in(folder)
    target.see(seen(answers(errors=2000)))
    project.start(folder)
    brought_to_its_end(folder)
    target.see(seen())
    project.start(folder)
    brought_to_its_end(folder)
    project.start(folder, reference=3)
    looked(folder)
    with connect(project.controller_in(folder).connection) as metadata:
        yield pages_of(metadata.store)


def test_releases_are_listed_the_newest_first_with_how_they_stand(pages):
    page = text(pages, "/releases")
    order = [
        page.index(f"release {n}</a></th> <td>{state}</td>")
        for n, state in ((3, "shadow 100%"), (2, "promoted"), (1, "rolled back"))
    ]
    assert order == sorted(order)


def test_a_release_that_was_rolled_back_says_why_and_on_which_evidence(pages):
    page = text(pages, "/releases/m/1")
    assert '<p class="problem"><strong>Rolled back:</strong> errors: 10 % bad answers' in page
    assert '<th scope="row">errors</th><td>alarm</td>' in page
    assert '<svg class="lines"' in page


def test_a_release_that_was_promoted_has_its_steps_and_its_report(pages):
    page = text(pages, "/releases/m/2")
    assert "1 serves, canary 2 50 %" in page
    assert ">report</a>" in page


def test_one_that_is_not_there_is_told(pages):
    answer = pages.get("/releases/m/9")
    assert (answer.status_code, "m has no release 9" in answer.text) == (404, True)
