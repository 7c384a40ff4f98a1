"""Numbers, sizes, times and places as people read them."""

from __future__ import annotations

import json
import math
import os
from datetime import UTC, datetime


def number(value: float) -> str:
    """Return a metric as people read it; AUC of one class, say, is not defined: a dash."""
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    is_count = value.is_integer() and abs(value) > 1
    return f"{value:,.0f}" if is_count else f"{value:.4f}"


# Metrics that count rows, by the ends of their names.
_COUNTS = ("example_count", "_positives", "_negatives")


def metric(name: str, value: float) -> str:
    """Return the value of a metric as people read it; of one that counts, without decimals."""
    plain = name.rpartition("/")[2]
    return f"{value:,.0f}" if plain.endswith(_COUNTS) and value.is_integer() else number(value)


def signed(difference: float) -> str:
    """Return a difference of metrics with its sign."""
    if math.isnan(difference):
        return "–"
    sign = "+" if difference > 0 else "−" if difference < 0 else "±"
    return f"{sign}{number(abs(float(difference)))}"


def quantity(value: float) -> str:
    """Return a value of data, which may be of any size, with about four digits."""
    if math.isnan(value) or math.isinf(value):
        return {math.inf: "∞", -math.inf: "−∞"}.get(value, "not a number")
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{value:,.0f}".replace("-", "−")
    if abs(value) >= 1e6 or abs(value) < 1e-4:
        return f"{value:.3g}".replace("-", "−")
    return f"{value:,.4g}".replace("-", "−") if abs(value) < 1e4 else f"{value:,.0f}"


def share(part: float, whole: float) -> str:
    """Return a share in percent; what is not nothing is not told as nothing."""
    if not whole or not part:
        return "0 %"
    percent = 100 * part / whole
    return "< 0.1 %" if percent < 0.05 else f"{percent:.1f} %"


def size(count: float | None) -> str:
    """Return a number of bytes as people read it; nothing for one that is not known."""
    if count is None:
        return ""
    if count < 1000:
        return f"{count:.0f} B"
    for unit in ("kB", "MB", "GB"):
        count /= 1000
        if count < 999.5:
            return f"{count:.1f} {unit}" if count < 9.95 else f"{count:.0f} {unit}"
    return f"{count / 1000:.1f} TB"


def duration(seconds: float) -> str:
    """Return a time span as people read it."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"


def counted(number: int, noun: str) -> str:
    """Return how many there are of something, in words."""
    return f"{number} {noun}" + ("" if number == 1 else "es" if noun.endswith("s") else "s")


def from_here(place: str) -> str:
    """Return a path as seen from this folder, if it is below it; a URL as it is."""
    relative = place if "://" in place else os.path.relpath(place)
    return place if relative.startswith("..") else relative


def when(moment: datetime) -> str:
    """Return a time as people read it."""
    return moment.strftime("%Y-%m-%d %H:%M:%S")


def utc_minute(moment: datetime) -> str:
    """Return a time with a zone as people read it, to the minute and in UTC."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M")


def plain(value: object) -> str:
    """Return a parameter's value as text: structures as JSON."""
    if isinstance(value, (dict, list, tuple, bool)) or value is None:
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


def recorded(value: object) -> str:
    """Return what a store has recorded of something as text; of a digest its beginning."""
    if value is None:
        return "nothing"
    text = f"{value:.6g}" if isinstance(value, float) else plain(value)
    return text[:12] if len(text) == 64 and text.isalnum() else text
