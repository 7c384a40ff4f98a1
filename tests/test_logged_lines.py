"""What libraries log, of which a reader sees what says something."""

from __future__ import annotations

import logging

import pytest

import penstock._tfx  # noqa: F401  # it drops some

pytestmark = pytest.mark.core


@pytest.mark.parametrize(
    ("logger", "line", "shown"),
    [
        (None, "crcmod package not found. This package is required if ...", False),
        (None, "something else", True),
        ("absl", "MetadataStore with DB ConnectionConfig: password", False),
        ("absl", "something else", True),
    ],
)
def test_what_says_nothing_is_dropped(caplog, logger, line, shown):
    with caplog.at_level(logging.WARNING):
        logging.getLogger(logger).warning(line)
    assert (line in caplog.messages) == shown
