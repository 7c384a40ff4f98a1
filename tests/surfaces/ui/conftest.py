"""A store with runs, and the pages over it, served by this process."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from penstock_support import browsing
from penstock_support.reported_components import ReportedRuns
from penstock_support.store_pages import served


@pytest.fixture(scope="session")
def project(tmp_path_factory) -> ReportedRuns:
    return ReportedRuns(tmp_path_factory.mktemp("project"))


@pytest.fixture(scope="session")
def results(project) -> SimpleNamespace:
    return SimpleNamespace(
        first=project.run(), second=project.run(accuracy=0.7), failed=project.run(fails="no luck")
    )


@pytest.fixture(scope="module")
def site(project, results) -> Iterator[str]:
    """The address of the pages, with the token."""
    with served(project.address) as address:
        yield address


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browsing.browser() as started:
        yield started


@pytest.fixture
def visit(chromium, site) -> Iterator[browsing.Watched]:
    """The list of runs in a browser of its own."""
    with browsing.watched(chromium) as shown:
        shown.page.goto(site)
        yield shown
