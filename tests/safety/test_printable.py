"""What others wrote is shown by a terminal, which obeys none of it."""

from __future__ import annotations

import pyte
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.safety import printable

pytestmark = pytest.mark.core

COMMANDS = [
    "\x1b[2J", "\x1b[1;1H", "\x1b]0;title\x07", "\x1b]8;;http://x\x1b\\", "\x9b31m", "\x9d0;t\x9c",
    "\r", "\x08", "\x1bc", "\x1b(0", "\x0e", "\x1b[8m", "\x1b[?25l", "\u202e", "\u2028", "\x85",
    "\ud800", "\x1bP1$r\x1b\\", "\x0b", "\x0c",
]  # fmt: skip


def escaped(text: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def on_a_screen(text: str) -> pyte.Screen:
    """Return what a terminal shows that got a line of ours, and a text."""
    screen = pyte.Screen(200, 8)
    pyte.Stream(screen).feed(f"ours\r\nbefore {text} after".replace("\n", "\r\n"))
    return screen


@pytest.mark.parametrize("command", COMMANDS, ids=ascii)
def test_a_line_is_shown_whole_and_stays_where_it_is(command):
    shown = on_a_screen(printable.line(command))
    assert [row.rstrip() for row in shown.display[:3]] == [
        "ours",
        f"before {escaped(command)} after",
        "",
    ]
    assert (shown.title, shown.cursor.hidden) == ("", False)


@pytest.mark.parametrize("command", COMMANDS, ids=ascii)
def test_a_text_of_several_lines_commands_nothing_either(command):
    shown = on_a_screen(printable.lines(f"one\n{command}"))
    assert shown.display[1].rstrip() == "before one"
    assert shown.display[2].rstrip() == f"{escaped(command)} after"


def test_a_line_shows_where_it_was_broken():
    assert printable.line("one\ntwo\tthree") == r"one\ntwo three"


@given(st.text())
def test_a_line_has_nothing_that_is_not_printable(text):
    assert printable.line(text).isprintable()


@given(st.text())
def test_a_text_that_is_printable_stays_as_it_is(text):
    plain = "".join(character for character in text if character.isprintable())
    assert printable.line(plain) == printable.lines(plain) == plain


@given(st.text(alphabet=st.characters(codec="utf-8")), st.integers(1, 5))
def test_a_log_says_the_same_however_its_bytes_are_cut(text, size):
    data = ("\x1b[31mred\x1b[0m\r\n" + text).encode()
    blocks = [data[start : start + size] for start in range(0, len(data), size)]
    for colors in (False, True):
        whole = "".join(printable.log([data], colors=colors))
        assert "".join(printable.log(blocks, colors=colors)) == whole


def test_a_log_keeps_its_colors_on_a_terminal_and_ends_them():
    assert "".join(printable.log([b"\x1b[1;31mred"], colors=True)) == "\x1b[1;31mred\x1b[0m"


def test_a_log_in_a_file_has_no_command_at_all():
    assert "".join(printable.log([b"\x1b[1;31mred"], colors=False)) == r"\x1b[1;31mred"


def test_a_log_cannot_hide_what_follows():
    assert "\x1b[8m" not in "".join(printable.log([b"\x1b[8mhidden\x1b[0;8m"], colors=True))


@pytest.mark.parametrize("command", sorted(set(COMMANDS) - {"\ud800", "\r", "\x08"}), ids=ascii)
def test_a_log_moves_no_cursor_and_sets_no_title(command):
    shown = on_a_screen("".join(printable.log([f"x{command}y".encode()], colors=True)))
    assert shown.display[1].rstrip() == f"before x{escaped(command)}y after"


@pytest.mark.parametrize("text", ["10 %\r20 %", "10 %\x08\x08\x08\x0820 %", "10 %\r\r\n20 %"])
def test_what_a_progress_bar_draws_anew_is_a_line_more(text):
    assert "".join(printable.log([text.encode()], colors=False)) == "10 %\n20 %"


def test_bytes_of_a_log_that_are_no_text_are_shown():
    assert "".join(printable.log([b"a\xffb"], colors=False)) == r"a\xffb"


def test_of_a_text_that_nobody_would_read_its_beginning_and_end_are_told():
    told = printable.excerpt("begin" + "x" * 50_000_000 + "end")
    assert len(told) < 21_000
    assert told.startswith("beginxxx")
    assert told.endswith("xxxend")
    assert "xxx [... 49,980,008 characters more ...] xxx" in told


def test_of_many_lines_the_first_and_the_last_are_told():
    told = printable.excerpt("".join(f"{number}\n" for number in range(1000))).split("\n")
    assert (told[0], told[99], told[-2]) == ("0", "99", "999")
    assert told[100] == "[... 801 lines more ...]"


@given(st.text(max_size=300))
def test_what_can_be_read_is_told_as_it_is(text):
    assert printable.excerpt(text) == text
