"""The reports of monitors, wherever their artifacts are."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Iterable

from penstock.data.files import remote
from penstock.data.parallel.fetching import local_copy
from penstock.metadata.protocol import Store
from penstock.metadata.reading import read_artifacts
from penstock.metadata.runs import find_run, made_in_run
from penstock.monitoring.measures import WindowReport, joined, read_report

_TYPE = "MonitorReport"


def reports_of_run(store: Store, run_id: str) -> list[str]:
    """Return where the reports are that a run made, or took from the cache."""
    made = made_in_run(store, find_run(store, run_id))
    return [
        artifact.uri
        for _, artifact in sorted(read_artifacts(store, made).items())
        if artifact.type_name == _TYPE
    ]


def read_reports(uris: Iterable[str]) -> WindowReport:
    """Return the reports of a window as one.

    Raises:
      DataError: there is none, or one that cannot be read.
    """
    return joined(map(_report, uris))


@functools.lru_cache(maxsize=512)
def _report(uri: str) -> WindowReport:
    # What an artifact holds does not change.
    if not remote.is_remote(uri):
        return read_report(uri)
    with tempfile.TemporaryDirectory() as folder:
        return read_report(local_copy(uri, folder))
