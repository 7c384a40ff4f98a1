"""Which lines of cron a server takes: the grammar of robfig/cron v3 with seconds, which it uses.

It stands here by itself, so that what Penstock writes is judged by somebody else's reading.
"""

from __future__ import annotations

import re

_MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
_DAYS = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]
_LIMITS = ((0, 59), (0, 59), (0, 23), (1, 31), (1, 12), (0, 6))
_DESCRIPTORS = {"@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"}
_DURATION = re.compile(r"@every (\d+(\.\d+)?(ns|us|µs|ms|s|m|h))+")


def refusal(line: str) -> str:
    """Return why a line is refused, "" if it is taken."""
    if line.startswith("@"):
        is_descriptor = line in _DESCRIPTORS or _DURATION.fullmatch(line)
        return "" if is_descriptor else f"unrecognized descriptor: {line}"
    fields = line.split()
    if len(fields) != len(_LIMITS):
        return f"expected exactly {len(_LIMITS)} fields, found {len(fields)}: {fields}"
    for position, field in enumerate(fields):
        for part in field.split(","):
            if problem := _problem(part, position):
                return problem
    return ""


def _problem(part: str, position: int) -> str:
    low, high = _LIMITS[position]
    range_and_step = part.split("/")
    if len(range_and_step) > 2:
        return f"too many slashes: {part}"
    if len(range_and_step) == 2 and not range_and_step[1].isdigit():
        return f"failed to parse int from {range_and_step[1]}"
    if len(range_and_step) == 2 and int(range_and_step[1]) == 0:
        return f"step of range should be a positive number: {part}"
    if range_and_step[0] in ("*", "?"):
        return ""
    ends = range_and_step[0].split("-")
    if len(ends) > 2:
        return f"too many hyphens: {part}"
    numbers = [_number(end, position) for end in ends]
    if None in numbers:
        return f"failed to parse int from {part}"
    first, last = numbers[0] or 0, numbers[-1] or 0
    if first < low or last > high:
        return f"value of {part} is outside of {low} to {high}"
    return f"beginning of range ({first}) beyond end of range ({last}): {part}" * (first > last)


def _number(text: str, position: int) -> int | None:
    names = {4: _MONTHS, 5: _DAYS}.get(position, [])
    if text.upper() in names:
        return names.index(text.upper()) + _LIMITS[position][0]
    return int(text) if text.isascii() and text.isdigit() else None
