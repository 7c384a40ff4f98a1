"""Text that others wrote, as a terminal may have it: it shows all of it and obeys none.

What could move the cursor, set a title, turn the direction of a line or begin another one is
written as Python writes it, as `\\x1b` and `\\n`.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator

# Controls but for tab and newline, what breaks or turns lines, and halves of characters. DEL, which
# terminals pass over, may stand in JSON as it is.
_COMMANDS = re.compile(
    "[\x00-\x08\x0b-\x1f\x80-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
# Colors, bold and underlined; nothing that hides text.
_COLOR = "(?:[0-79]|2[1-79]|[349][0-7]|[34]9|10[0-7]|[34]8;5;[0-9]{1,3}|[34]8;2(?:;[0-9]{1,3}){3})?"
_COLORS = re.compile(rf"(\x1b\[{_COLOR}(?:;{_COLOR})*m)")
_BEGUN = re.compile(r"(?:\r|\x08|\x1b(?:\[[0-9;]{0,64})?)$")
# A line is drawn anew, as progress bars do.
_ANEW = re.compile(r"\r*\n|\r+|\x08+")
# Of what is told in one piece, so many characters and lines; and so many from its end.
_LONGEST, _END, _MOST_LINES = 20_000, 4_000, 200
_NO_COLOR = "\x1b[0m"


def line(text: str) -> str:
    """Return a text as one line."""
    return "".join(map(_shown, text))


def lines(text: str) -> str:
    """Return a text that may have lines and tabs."""
    return _COMMANDS.sub(lambda match: _escaped(match[0]), text)


def excerpt(text: str) -> str:
    """Return a text as it is, or the beginning and the end of one that nobody would read."""
    if len(text) > _LONGEST:
        left_out = f" [... {len(text) - _LONGEST:,} characters more ...] "
        text = text[: _LONGEST - _END] + left_out + text[-_END:]
    parts = text.split("\n")
    if len(parts) <= _MOST_LINES:
        return text
    left_out = f"[... {len(parts) - _MOST_LINES:,} lines more ...]"
    return "\n".join([*parts[: _MOST_LINES // 2], left_out, *parts[-_MOST_LINES // 2 :]])


def log(blocks: Iterable[bytes], *, colors: bool) -> Iterator[str]:
    """Yield what a log's bytes say; what draws a line anew begins another one.

    With `colors` those of the log pass.
    """
    decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
    waiting = ""
    for block in blocks:
        text = waiting + decoder.decode(block)
        begun = _BEGUN.search(text)
        waiting = text[begun.start() :] if begun else ""
        yield _of_log(text.removesuffix(waiting), colors)
    yield _of_log(waiting + decoder.decode(b"", final=True), colors)
    if colors:
        yield _NO_COLOR


def _of_log(text: str, colors: bool) -> str:
    text = _ANEW.sub("\n", text)
    if not colors:
        return lines(text)
    # Every second part is a color.
    parts = _COLORS.split(text)
    return "".join(part if number % 2 else lines(part) for number, part in enumerate(parts))


def _shown(character: str) -> str:
    if character.isprintable():
        return character
    # Spaces of other widths and tabs make no new line.
    is_space = character.isspace() and not _COMMANDS.match(character) and character not in "\n"
    return " " if is_space else _escaped(character)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()
