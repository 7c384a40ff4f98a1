"""Watching: who sleeps, who is woken, and what goes wrong with one trigger is no other's."""

from __future__ import annotations

import pytest

from penstock import _tfx
from penstock.errors import DataError
from penstock.operations.alarm import Alarm
from penstock.operations.triggers.checking import Round
from penstock.operations.triggers.watching import check_all, watch

pytestmark = pytest.mark.core


class Looked:
    """Stands for a trigger, and raises or returns what it is told, one after the other."""

    def __init__(self, name, *results, then=lambda: None):
        self.name, self.results, self.then = name, list(results), then
        self.times = []

    def check(self, now):
        self.times.append(now)
        result = self.results.pop(0) if self.results else Round(self.name)
        if not self.results:
            self.then()
        if isinstance(result, Exception):
            raise result
        return result


@pytest.mark.parametrize(
    "error",
    [
        DataError("no number"),
        OSError("no disk"),
        _tfx.ml_metadata.errors.UnavailableError("no store"),
    ],
)
def test_what_goes_wrong_with_one_is_its_own_problem(error):
    rounds = list(check_all([Looked("a", error), Looked("b")]))
    assert [(looked.trigger, len(looked.problems)) for looked in rounds] == [("a", 1), ("b", 0)]


def test_times_have_a_zone():
    one = Looked("a")
    list(check_all([one]))
    assert one.times[0].tzinfo is not None


def test_a_watcher_that_is_woken_looks_at_once():
    alarm = Alarm()
    one = Looked("a", Round("a"), Round("a"), then=alarm.end)
    alarm.wake()
    watch([one], alarm, 3600, [].append)
    assert len(one.times) == 2


def test_a_watcher_that_is_told_to_end_looks_at_no_other():
    alarm = Alarm()
    first, second = Looked("a", then=alarm.end), Looked("b")
    watch([first, second], alarm, 3600, [].append)
    assert (len(first.times), len(second.times)) == (1, 0)


def test_a_watcher_tells_of_each_look():
    alarm, told = Alarm(), []
    watch([Looked("a", then=alarm.end)], alarm, 3600, told.append)
    assert told == [Round("a")]
