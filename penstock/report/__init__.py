"""Reports of runs: self-contained HTML pages, from the store and the artifacts' files."""

from penstock.report.page import report_path, write_report

__all__ = ["report_path", "write_report"]
