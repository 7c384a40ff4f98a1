"""Which of the lines that TFX, Beam and ML Metadata log are for a reader."""

from __future__ import annotations

import logging

# TFX warns of predicates for every input of every node, whether or not anybody asked for one.
# ML Metadata logs its connection settings, password included, and errors that it raises too.
# Beam warns of one of three packages that count checksums, also where it has another.
_UNWANTED = (
    "property_predicate is not supported",
    "ConnectionConfig: ",
    "mlmd client ",
    "crcmod package not found",
)


def _says_something(record: logging.LogRecord) -> bool:
    return not any(text in str(record.msg) for text in _UNWANTED)


def install() -> None:
    """Drop the others."""
    for name in ("absl", None):
        logging.getLogger(name).addFilter(_says_something)
