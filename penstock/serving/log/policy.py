"""What of requests is kept, where, and for how long: plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from penstock.errors import ConfigError
from penstock.project.intervals import parse_interval
from penstock.project.prediction_log import SPAN_SECONDS, LogOptions
from penstock.serving.routes import CANARY, PRODUCTION, is_chosen

# The seconds of a span of time; a span's number counts them from 1970 on, in UTC.
SPANS = SPAN_SECONDS
# The folder of a model's measures, beside those of its rows.
MEASURES = "measures"
# What `penstock predict` answered, and a server where a version was asked for by its number.
BATCH, BY_NUMBER = "batch", ""
# Whose answers somebody got: a shadow's are nobody's.
GIVEN = (PRODUCTION, CANARY, BATCH, BY_NUMBER)
# Of the year 9999.
_END = 253_402_300_800


@dataclass(frozen=True)
class LogPolicy:
    """How a server logs predictions below `folder`, a folder a model.

    `percent` of the requests are logged, and a request that is sent again under its id is logged
    if it was the first time. Files are in folders of a `span`, hour or day, and are removed from
    the oldest on where they have more than `most_bytes`. Features that are `left_out` are not
    kept; of those that are `hashed` only who is equal to whom; texts that are `truncated` have so
    many characters at most. A request is of the time that its header `time_header` says, if it has
    one. What came is in a file after `write_seconds`.
    """

    folder: str
    percent: float = 100.0
    span: str = "day"
    most_bytes: int = 10_000_000_000
    left_out: tuple[str, ...] = ()
    hashed: tuple[str, ...] = ()
    truncated: Mapping[str, int] = field(default_factory=dict)
    time_header: str = ""
    write_seconds: float = 60.0

    def __post_init__(self) -> None:
        check_span(self.span)
        if not 0 <= self.percent <= 100:
            raise ConfigError(f"0 to 100 percent can be logged, not {self.percent:g}")

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> LogPolicy:
        """Return what `to_json` wrote."""
        listed = {name: tuple(entry[name]) for name in ("left_out", "hashed")}
        return cls(**{**entry, **listed})

    @classmethod
    def of(cls, options: LogOptions) -> LogPolicy:
        """Return what options in penstock.toml, or of a command, ask for."""
        return cls(
            folder=str(Path(options.folder).absolute()),
            percent=options.percent,
            span=options.span,
            most_bytes=int(options.size * 1e9),
            left_out=options.without,
            hashed=options.hashed,
            truncated=options.truncated,
            time_header=options.time_header.lower(),
            write_seconds=parse_interval(options.write_every),
        )

    def has(self, request_id: str) -> bool:
        """Return whether a request is logged: the same for the same id."""
        return self.percent >= 100 or is_chosen(request_id, self.percent, "log")


def time_in(text: str) -> float | None:
    """Return the time that a text is, in seconds since 1970; None where it is none after that."""
    try:
        seconds = float(text)
    except ValueError:
        try:
            at = datetime.fromisoformat(text)
        except ValueError:
            return None
        seconds = (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    return seconds if 0 <= seconds < _END else None


def check_span(span: str) -> None:
    """Raise ConfigError unless a log can have such spans."""
    if span not in SPANS:
        raise ConfigError(f"a log has a folder an {' or a '.join(SPANS)}, not a {span!r}")


def span_at(seconds: float, span: str) -> int:
    """Return the number of the span that a time, in seconds since 1970, is in."""
    return int(seconds // SPANS[span])


def span_folder(span: str, number: int) -> str:
    """Return the folder of a span: what an ExampleGen finds by `day-{SPAN}`."""
    return f"{span}-{number}"


def measures_folder(span: str, number: int) -> str:
    """Return the folder of a span's measures, which readers of rows do not look into."""
    return f"{MEASURES}/{span_folder(span, number)}"
