"""What a deployment's prediction log keeps, as penstock.toml says it.

[deployments.flights.log]
folder = "log"                      # from the folder of penstock.toml; a folder a model below it
percent = 10
span = "hour"                       # or day
size = 10                           # GB
without = ["passenger"]
hashed = ["tail_number"]
truncated = { note = 100 }
time_header = "x-event-time"        # what callers say when it was that they ask about
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from penstock.errors import ParameterError, suggestion
from penstock.project.intervals import parse_interval

# The seconds of a span of a log.
SPAN_SECONDS = {"hour": 3600, "day": 86400}
LOG_SPANS = tuple(SPAN_SECONDS)
_HEADER = re.compile(r"[A-Za-z0-9-]*")


@dataclass(frozen=True)
class LogOptions:
    """How predictions are logged below a local folder.

    `percent` of the requests are kept, in a folder a `span`; the oldest files go beyond `size`
    gigabytes. Columns `without` are left out, of those that are `hashed` only who is equal to whom
    is kept, and of texts that are `truncated` so many characters. Rows are of the time at which
    they were answered, unless the request has a header `time_header` with another: as
    2026-05-01T06:00Z, or in seconds since 1970. What came is in a file after `write_every`: sooner
    makes smaller files, and more of them.
    """

    folder: str
    percent: float = 100.0
    span: str = "day"
    size: float = 10.0
    without: tuple[str, ...] = ()
    hashed: tuple[str, ...] = ()
    truncated: Mapping[str, int] = field(default_factory=dict)
    time_header: str = ""
    write_every: str = "1m"

    def __post_init__(self) -> None:
        if not self.folder or "://" in self.folder:
            raise ParameterError(
                f"expected a local folder for the log, got {self.folder!r}",
                hint="Whoever keeps logs elsewhere copies the files from there: they are whole.",
            )
        if not 0 <= self.percent <= 100:
            raise ParameterError(f"expected percent of 0 to 100, got {self.percent:g}")
        if self.span not in LOG_SPANS:
            raise ParameterError(
                f"expected a span of {' or '.join(LOG_SPANS)}, got {self.span!r}",
                hint=suggestion(self.span, LOG_SPANS, noun="span"),
            )
        if self.size < 0.001:
            raise ParameterError(f"expected a size of 0.001 GB or more, got {self.size:g}")
        parse_interval(self.write_every)
        if not _HEADER.fullmatch(self.time_header):
            raise ParameterError(
                f"expected the name of a header, as x-event-time, got {self.time_header!r}"
            )
        for name, size in self.truncated.items():
            if size < 0:
                raise ParameterError(f"expected 0 characters or more of {name!r}, got {size}")
