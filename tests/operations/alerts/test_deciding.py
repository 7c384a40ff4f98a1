"""What is done about judged windows, of rules, windows and incidents alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.monitoring.measures import ALARM, FINE, UNKNOWN, Measure, Window
from penstock.operations.alerts.deciding import (
    Add,
    Incident,
    Judged,
    Resolve,
    Ring,
    decide,
    incidents_in,
)
from penstock.project.alerting import AlertRule

pytestmark = pytest.mark.core

BEGIN = datetime(2026, 5, 4, tzinfo=UTC)
NOW = datetime(2026, 6, 1, tzinfo=UTC)
STATES = {"a": ALARM, "u": UNKNOWN, "f": FINE}


def window(number: int) -> Window:
    begin = BEGIN + timedelta(hours=number)
    return Window(begin, begin + timedelta(hours=1))


def judged(number: int, **states: str) -> Judged:
    """Return a window in which subjects are alarms (a), fine (f) or unknown (u)."""
    measures = [Measure("drift", s, "js", 0.2, STATES[state]) for s, state in states.items()]
    return Judged.of(window(number), measures)


def series(states: str, subject: str = "x") -> list[Judged]:
    """Return windows in a row, by their states."""
    return [judged(number, **{subject: state}) for number, state in enumerate(states)]


def carried_out(rung, actions):
    """Return the incidents after some actions, of which each leaves one open at most."""
    after = list(rung)
    for action in actions:
        if isinstance(action, Ring):
            after.append(replace(action.incident, measures=()))
        else:
            place = next(i for i, known in enumerate(after) if known.key == action.key)
            if isinstance(action, Resolve):
                after[place] = replace(after[place], end=action.end)
            else:
                subjects = (*after[place].subjects, *action.subjects)
                after[place] = replace(after[place], subjects=subjects)
        assert sum(incident.is_open for incident in after) <= 1
    return after


def told(rule, windows, rung=()):
    """Return what is done, in words: ring@0 by the number of a window, add, resolve."""
    shown = []
    for action in decide(rule, windows, rung, NOW):
        if isinstance(action, Ring):
            number = (action.incident.first.begin - BEGIN) // timedelta(hours=1)
            shown.append(f"ring@{number}" + ("" if action.incident.is_open else " over"))
        else:
            shown.append("add" if isinstance(action, Add) else "resolve")
    return shown


@pytest.mark.parametrize(
    ("states", "windows", "resolve_windows", "expected"),
    [
        ("fff", 1, 1, []),
        ("ffa", 1, 1, ["ring@2"]),
        ("faa", 1, 1, ["ring@1"]),
        ("afa", 2, 1, []),
        ("faa", 2, 1, ["ring@1"]),
        ("faua", 2, 1, ["ring@1"]),
        ("faf", 1, 1, ["ring@1 over"]),
        ("fafa", 1, 2, ["ring@1"]),
        ("faff", 1, 2, ["ring@1 over"]),
        ("fafuf", 1, 2, ["ring@1 over"]),
        ("fau", 1, 1, ["ring@1"]),
        ("uuu", 1, 1, []),
        ("afa", 1, 1, ["ring@0 over", "ring@2"]),
    ],
)
def test_an_alarm_rings_when_it_stands_and_is_over_when_it_is_fine(
    states, windows, resolve_windows, expected
):
    rule = AlertRule(windows=windows, resolve_windows=resolve_windows)
    assert told(rule, series(states)) == expected


def test_the_key_of_an_incident_is_its_first_window():
    [ring] = decide(AlertRule(windows=2), series("faa"), (), NOW)
    assert ring.incident.key == "2026-05-04T01:00Z"


def test_two_subjects_that_take_turns_stand_neither():
    windows = [judged(0, x="a", y="f"), judged(1, x="f", y="a")]
    assert told(AlertRule(windows=2), windows) == []


def test_a_second_subject_is_added_and_rings_no_second_time():
    windows = [judged(0, x="a", y="f"), judged(1, x="a", y="a")]
    [ring] = decide(AlertRule(), windows[:1], (), NOW)
    [add] = decide(AlertRule(), windows, [ring.incident], NOW)
    assert (add.subjects, add.measures[0].subject) == (("y",), "y")


def test_an_incident_is_over_when_all_its_subjects_are_fine():
    windows = [judged(0, x="a", y="a"), judged(1, x="f", y="a"), judged(2, x="f", y="f")]
    assert told(AlertRule(), windows[:2]) == ["ring@0"]
    assert told(AlertRule(), windows) == ["ring@0 over"]


def test_what_is_unknown_of_one_subject_ends_nothing_though_others_are_fine():
    assert told(AlertRule(), [judged(0, x="a", y="f"), judged(1, x="u", y="f")]) == ["ring@0"]


def test_what_is_not_measured_any_more_is_over():
    assert told(AlertRule(), [judged(0, v3="a"), judged(1, v4="f")]) == ["ring@0 over"]


def test_subjects_and_names_that_do_not_count_ring_nothing():
    windows = series("a")
    assert told(AlertRule(subjects=("dep_*",)), windows) == []
    assert told(AlertRule(names=("psi",)), windows) == []
    assert told(AlertRule(subjects=("x*",), names=("j*",)), windows) == ["ring@0"]


def test_a_rule_that_is_switched_off_rings_nothing_and_ends_what_is_open():
    off = AlertRule(enabled=False)
    assert told(off, series("a")) == []
    assert told(off, series("a"), [Incident(window(0), ("x",), key="k")]) == ["resolve"]


def test_a_window_that_was_an_alarm_by_mistake_ends_its_incident():
    rung = [Incident(window(1), ("x",), key=window(1).key)]
    [resolve] = decide(AlertRule(), series("ff"), rung, NOW)
    assert resolve.why == "its windows were judged again, or its rule is another one"


def test_an_alarm_of_a_window_that_was_fine_meanwhile_has_a_key_of_its_own():
    rung = [Incident(window(1), ("x",), window(1).begin, key=window(1).key)]
    [ring] = decide(AlertRule(), series("fa"), rung, NOW)
    assert ring.incident.key == f"{window(1).key}+2"


def test_a_late_window_between_two_that_are_known_rings_and_is_over():
    windows = series("faf")
    assert told(AlertRule(), [windows[0], windows[2]]) == []
    assert told(AlertRule(), windows) == ["ring@1 over"]


def test_after_somebody_said_that_it_is_over_the_next_alarm_rings():
    rung = [Incident(window(0), ("x",), window(2).begin, key=window(0).key)]
    assert told(AlertRule(), series("aa"), rung) == []
    assert told(AlertRule(), series("aaa"), rung) == ["ring@2"]


SUBJECTS = ("x", "y")


def rows_of(states: str):
    """Return windows in a row whose subjects have some of these states."""
    one = st.fixed_dictionaries({subject: st.sampled_from(states) for subject in SUBJECTS})
    return st.lists(one, min_size=1, max_size=9).map(
        lambda rows: [judged(number, **row) for number, row in enumerate(rows)]
    )


WINDOWS = rows_of("afu")
RULES = st.builds(AlertRule, windows=st.integers(1, 3), resolve_windows=st.integers(1, 3))
# Windows in the order in which they are judged, of which some are judged again, in another way.
JUDGEMENTS = st.tuples(WINDOWS, WINDOWS).flatmap(lambda two: st.permutations([*two[0], *two[1]]))


def after_all(rule, judgements):
    """Return how things are when windows were judged one after the other."""
    latest: dict[Window, Judged] = {}
    rung: list[Incident] = []
    for one in judgements:
        latest[one.window] = one
        rung = carried_out(rung, decide(rule, latest.values(), rung, NOW))
    return rung, sorted(latest.values(), key=lambda each: each.place)


@given(RULES, JUDGEMENTS)
def test_there_are_never_two_open_incidents(rule, judgements):
    after_all(rule, judgements)  # carried_out looks at each action


@given(RULES, JUDGEMENTS)
def test_what_is_judged_again_and_is_the_same_changes_nothing(rule, judgements):
    rung, windows = after_all(rule, judgements)
    assert decide(rule, windows, rung, NOW) == ()
    assert decide(rule, reversed(windows), rung, NOW) == ()


@given(RULES, JUDGEMENTS)
def test_every_key_is_that_of_one_incident(rule, judgements):
    rung, _ = after_all(rule, judgements)
    assert len({incident.key for incident in rung}) == len(rung)


@given(rows_of("af").flatmap(lambda rows: st.tuples(st.just(rows), st.permutations(rows))))
def test_the_order_of_judging_decides_neither_what_rang_nor_what_is_open(two):
    windows, shuffled = two
    rule = AlertRule()
    rung, _ = after_all(rule, shuffled)
    truth = incidents_in(rule, windows)
    assert [i for i in truth if not any(i.meets(known) for known in rung)] == []
    assert any(i.is_open for i in rung) == any(i.is_open for i in truth)


@given(RULES, WINDOWS)
def test_all_at_once_is_as_one_after_the_other(rule, windows):
    rung, _ = after_all(rule, windows)
    at_once = carried_out([], decide(rule, windows, (), NOW))
    shown = [[(i.key, set(i.subjects), i.end) for i in each] for each in (rung, at_once)]
    assert shown[0] == shown[1]


@given(RULES, WINDOWS)
def test_windows_of_which_nothing_is_known_change_nothing(rule, windows):
    known = [one for one in windows if one.fine or one.alarms]
    assert decide(rule, windows, (), NOW) == decide(rule, known, (), NOW)
