"""Cron, as Kubeflow Pipelines and triggers understand it: six fields, the first being seconds.

The fields are seconds, minutes, hours, days of the month, months, days of the week (0 or SUN to
6 or SAT). Each is `*` or `?`, a number or a name, a range `a-b`, any of them with a step `/n`, or
several with commas. If both kinds of day are restricted, one of them must fit. Times are in the
server's time zone, which is UTC unless its administrator has set another.

The common cron has five fields and no seconds. The server takes such a line too, but reads its
first field as seconds, so that `0 9 * * 1` means every day and every hour of January.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from penstock.errors import ParameterError

_MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
_DAYS = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]
_FIELDS: tuple[tuple[str, int, int, dict[str, int]], ...] = (
    ("seconds", 0, 59, {}),
    ("minutes", 0, 59, {}),
    ("hours", 0, 23, {}),
    ("days of the month", 1, 31, {}),
    ("months", 1, 12, {name: i for i, name in enumerate(_MONTHS, 1)}),
    ("days of the week", 0, 6, {name: i for i, name in enumerate(_DAYS)}),
)
_DESCRIPTORS = {
    "@yearly": "0 0 0 1 1 *",
    "@annually": "0 0 0 1 1 *",
    "@monthly": "0 0 0 1 * *",
    "@weekly": "0 0 0 * * 0",
    "@daily": "0 0 0 * * *",
    "@midnight": "0 0 0 * * *",
    "@hourly": "0 0 * * * *",
}
_PART = re.compile(r"(\*|\?|[A-Z0-9]+(?:-[A-Z0-9]+)?)(?:/([0-9]+))?")
_LONGEST_SEARCH = timedelta(days=366 * 8)


class CronError(ParameterError):
    """A line of cron cannot be read."""


@dataclass(frozen=True)
class Cron:
    """When something is to happen: the numbers that each field allows.

    `text` is the line with six fields. `any_day` has, for days of the month and of the week,
    whether the field leaves them open.
    """

    text: str
    allowed: tuple[frozenset[int], ...]
    any_day: tuple[bool, bool]

    def next(self, after: datetime) -> datetime | None:
        """Return the first time after another, or None if there is none in eight years."""
        at = after.replace(microsecond=0) + timedelta(seconds=1)
        seconds, minutes, hours, _, months, _ = self.allowed
        while at < after + _LONGEST_SEARCH:
            if at.month not in months or not self._fits_day(at):
                at = at.replace(hour=0, minute=0, second=0) + timedelta(days=1)
            elif at.hour not in hours:
                at = at.replace(minute=0, second=0) + timedelta(hours=1)
            elif at.minute not in minutes:
                at = at.replace(second=0) + timedelta(minutes=1)
            elif at.second not in seconds:
                at += timedelta(seconds=1)
            else:
                return at
        return None

    def _fits_day(self, at: datetime) -> bool:
        fits = (at.day in self.allowed[3], (at.weekday() + 1) % 7 in self.allowed[5])
        return all(fits) if any(self.any_day) else any(fits)


def parse(text: str, *, fields: int | None = None) -> Cron:
    """Read a line with five or six fields, or one of the names that begin with @.

    `fields` asks for that many. In a line of five fields Sunday may also be 7.

    Raises:
      CronError: a field is not what it should be, or nothing would ever happen.
    """
    parts = _DESCRIPTORS.get(text.strip().lower(), text).upper().split()
    expected = (5, 6) if fields is None else (fields,)
    if len(parts) not in expected:
        wanted = " or ".join(map(str, expected))
        raise CronError(
            f"expected {wanted} fields of cron, got {len(parts)}: {text!r}",
            hint="Five are minute, hour, day of the month, month, day of the week; six have the "
            "second before them. Every Monday at 9: '0 9 * * 1'.",
        )
    if len(parts) == 5:
        parts = ["0", *parts[:4], _with_sunday_as_0(parts[4])]
    allowed = tuple(_field(part, *field, text) for part, field in zip(parts, _FIELDS, strict=True))
    open_days = tuple(parts[i].startswith(("*", "?")) for i in (3, 5))
    cron = Cron(" ".join(parts), allowed, (open_days[0], open_days[1]))
    if cron.next(datetime(2024, 1, 1)) is None:
        raise CronError(f"there is no time that fits {text!r}")
    return cron


def _with_sunday_as_0(days: str) -> str:
    """Write days of the week without the 7, which the server does not know."""

    def without_7(part: str) -> str:
        ends = re.fullmatch(r"([0-6])-7((?:/[0-9]+)?)", part)
        if ends and not ends.group(2):
            return "0-6" if ends.group(1) == "0" else f"{ends.group(1)}-6,0"
        return re.sub(r"^7(?=$|/)", "0", part)

    return ",".join(without_7(part) for part in days.split(","))


def _field(
    expression: str, name: str, low: int, high: int, names: dict[str, int], text: str
) -> frozenset[int]:
    allowed: set[int] = set()
    for part in expression.split(","):
        match = _PART.fullmatch(part)
        values = _range(match.group(1), low, high, names) if match else None
        step = int(match.group(2) or 1) if match else 0
        if match is None or values is None or step < 1:
            expected = f"{low} to {high}" + (f", or {', '.join(names)}" if names else "")
            raise CronError(f"in cron {text!r}, {name}: expected {expected}, got {part!r}")
        start, end = values
        # `5/10` begins at 5 and goes on to the end.
        end = high if match.group(2) and "-" not in part else end
        allowed.update(range(start, end + 1, step))
    return frozenset(allowed)


def _range(text: str, low: int, high: int, names: dict[str, int]) -> tuple[int, int] | None:
    if text in ("*", "?"):
        return low, high
    ends = [names.get(end, int(end) if end.isdigit() else -1) for end in text.split("-")]
    start, end = ends[0], ends[-1]
    return (start, end) if low <= start <= end <= high else None
