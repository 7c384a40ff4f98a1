"""Reports of runs, each made when its run has changed and kept until it changes again."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any

from penstock.metadata.protocol import Store
from penstock.report import page
from penstock.report.page import Report
from penstock.report.progress import Progress, report_version

_MOST = 16


@dataclass
class _Kept:
    """The last report of a run, and what was read of its artifacts for it."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    version: str = ""
    report: Report | None = None
    read: dict[Hashable, Any] = field(default_factory=dict)


@dataclass
class Reports:
    """The reports of a store's runs, those that were asked for last.

    Several requests may ask for reports at the same time; those for the same one wait for it.
    """

    store: Store
    most: int = _MOST
    kept: OrderedDict[str, _Kept] = field(default_factory=OrderedDict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def report(self, progress: Progress) -> Report:
        """Return the report of a run whose progress has just been read."""
        kept = self._of(progress.run_id)
        with kept.lock:
            version = report_version(self.store, progress)
            if kept.report is not None and kept.version == version:
                return kept.report
            report = page.build(self.store, progress.run_id, kept=kept.read)
            if not report.unreachable:
                kept.version, kept.report = version, report
            return report

    def _of(self, run_id: str) -> _Kept:
        with self.lock:
            kept = self.kept.setdefault(run_id, _Kept())
            self.kept.move_to_end(run_id)
            while len(self.kept) > self.most:
                self.kept.popitem(last=False)
            return kept
