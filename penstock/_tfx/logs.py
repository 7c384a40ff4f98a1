"""Which of the lines that TFX and ML Metadata log are for a reader."""

from __future__ import annotations

import logging

# TFX warns of predicates for every input of every node, whether or not anybody asked for one.
# ML Metadata logs its connection settings, password included, and errors that it raises too.
_UNWANTED = ("property_predicate is not supported", "ConnectionConfig: ", "mlmd client ")


def _says_something(record: logging.LogRecord) -> bool:
    return not any(text in str(record.msg) for text in _UNWANTED)


def install() -> None:
    """Drop the others."""
    logging.getLogger("absl").addFilter(_says_something)
