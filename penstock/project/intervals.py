"""Intervals of time as people write them: 30m, 6h, 1d12h."""

from __future__ import annotations

import re

from penstock.errors import ParameterError

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def parse_interval(text: str) -> int:
    """Return the seconds of an interval as 1d12h; there is at least one.

    Raises:
      ParameterError: it is none.
    """
    parts = re.findall(r"(\d+)([smhdw])", text)
    seconds = sum(int(number) * _UNITS[unit] for number, unit in parts)
    if "".join(number + unit for number, unit in parts) != text or seconds < 1:
        raise ParameterError(f"expected an interval as 30m, 6h, 1d or 1d12h, got {text!r}")
    return seconds


def written_interval(seconds: int) -> str:
    """Return an interval as `parse_interval` reads it."""
    parts, left = [], seconds
    for unit in ("d", "h", "m", "s"):
        number, left = divmod(left, _UNITS[unit])
        parts += [f"{number}{unit}"] if number else []
    return "".join(parts) or "0s"


def shown_interval(seconds: float) -> str:
    """Return about how long an interval is: days and hours, hours and minutes, and so on."""
    parts = re.findall(r"\d+[dhms]", written_interval(round(seconds)))
    return "".join(parts[:2])
