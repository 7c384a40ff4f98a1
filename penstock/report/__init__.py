"""Reports of runs: self-contained HTML pages, from the store and the artifacts' files."""

from __future__ import annotations

import contextlib
import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from penstock.report.page import report_path, write_report

__all__ = ["report_path", "write_report"]


def import_ahead() -> None:
    """Import what a report takes; for who has nothing else to do meanwhile."""
    with contextlib.suppress(ImportError):  # who writes the report says it
        # The latter reads what the artifacts have.
        for module in ("penstock.report.page", "penstock.data.records"):
            importlib.import_module(module)


def __getattr__(name: str) -> Any:
    # What reads artifacts' files is imported when it is asked for: others only want the wording.
    if name in __all__:
        from penstock.report import page

        return getattr(page, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
