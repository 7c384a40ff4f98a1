"""Reports of runs: self-contained HTML pages, from the store and the artifacts' files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from penstock.report.page import report_path, write_report

__all__ = ["report_path", "write_report"]


def __getattr__(name: str) -> Any:
    # What reads artifacts' files is imported when it is asked for: others only want the wording.
    if name in __all__:
        from penstock.report import page

        return getattr(page, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
