"""Runs whose reports are looked at: made once a test run, in a few seconds."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from penstock.metadata.store import connect, connection_config
from penstock_support import browsing
from penstock_support import reported_components as components


class Runs(components.ReportedRuns):
    """Runs whose reports can be written again."""

    def write(self, run_id: str, path: Path) -> str:
        """Write a report again, and return its text."""
        from penstock.report import write_report

        with connect(connection_config(self.address), create=False) as metadata:
            write_report(metadata.store, run_id, str(path))
        return path.read_text()


@pytest.fixture(scope="session")
def runs(tmp_path_factory) -> Runs:
    return Runs(tmp_path_factory.mktemp("reported"))


@pytest.fixture(scope="session")
def results(runs) -> SimpleNamespace:
    """One run of each kind; later ones find in the cache what earlier ones have made."""
    return SimpleNamespace(
        blessed=runs.run(),
        cached=runs.run(),
        refused=runs.run(accuracy=0.7),
        failed=runs.run(fails="no such luck"),
        hostile=runs.run(
            hostile=True, anomalous=components.HOSTILE, fails="", slices=2, accuracy=0.94
        ),
        large=runs.run(features=3000, slices=400, accuracy=0.95),
    )


@pytest.fixture(scope="session")
def moved(runs, results, tmp_path_factory) -> Runs:
    """The same store where all files of the artifacts are gone."""
    folder = tmp_path_factory.mktemp("moved")
    shutil.copy(runs.address, folder / "metadata.sqlite")
    return Runs(folder)


@pytest.fixture(scope="module")
def chromium():
    with browsing.browser() as started:
        yield started
