"""Which part of a node's log is shown as the end of it."""

from __future__ import annotations

import pytest

from penstock.execution.logs import WHOLE_TRACEBACK, begin_try, log_tail

pytestmark = pytest.mark.core


@pytest.fixture
def log(tmp_path):
    return tmp_path / "Train.log"


def test_the_end_of_a_log_is_without_the_traceback(log):
    log.write_text(f"learning\nerror: no luck\n{WHOLE_TRACEBACK}\nTraceback\n")
    assert log_tail(str(log)) == "learning\nerror: no luck\n"


def test_of_several_tries_the_last_one_counts(log):
    log.write_text(f"first\nerror: no luck\n{WHOLE_TRACEBACK}\nTraceback\n")
    begin_try(str(log))
    with log.open("a") as file:
        file.write("second\n")
    assert log_tail(str(log)) == "second\n"
    assert "no luck" in log.read_text()


def test_a_try_that_has_printed_nothing_has_an_empty_log(log):
    log.write_text("first\n")
    begin_try(str(log))
    assert log_tail(str(log)) == ""


def test_a_first_try_leaves_no_mark(log):
    begin_try(str(log))
    assert not log.exists()


def test_the_end_of_a_log_is_found_without_reading_all_of_it(log):
    with log.open("wb") as file:
        file.truncate(2**40)
        file.seek(0, 2)
        file.write(b"\nlearning\nthe end\n")
    assert log_tail(str(log), 2) == "learning\nthe end\n"


def test_a_line_of_a_log_that_nobody_would_read_is_cut(log):
    log.write_text("x" * 100_000 + "\n")
    assert log_tail(str(log)) == "x" * 4000 + " ... and 96,001 more characters\n"
