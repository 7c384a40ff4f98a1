"""Deciding about what has happened, by examples and in all of many lives."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.operations.triggers.deciding import Evidence, Past, Verdict, decide
from penstock.project.triggers import CATCH_UPS, POLICIES, Trigger, When

pytestmark = pytest.mark.core

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)


def trigger(**options):
    return Trigger(When(span="data/span-{SPAN}"), "flights", **options)


def span(number, at=NOW):
    return Evidence(str(number), at, f"span {number}", (number,))


def fired(number, at=NOW - timedelta(hours=3), *, active=False, ending=False):
    return Past(span(number, at), Verdict.FIRE, "", at, active, ending)


def waits(number, reason=""):
    return Past(span(number), Verdict.WAIT, reason)


def decided(trigger, evidence, history=(), now=NOW):
    decisions = decide(trigger, evidence, history, now)
    return [(d.key, d.verdict.value, d.reason) for d in decisions]


def test_what_has_come_starts_a_run():
    assert decided(trigger(), [span(1)]) == [("1", "fire", "span 1 came")]


def test_what_was_decided_is_not_decided_again():
    assert decided(trigger(), [span(1)], [fired(1)]) == []


def test_of_one_key_there_is_one_decision():
    assert len(decided(trigger(catch_up="all"), [span(1), span(1)])) == 1


def test_the_last_of_several_counts():
    assert decided(trigger(), [span(2), span(1)]) == [
        ("1", "skip", "span 2 came after it, and the last one counts"),
        ("2", "fire", "span 2 came"),
    ]


def test_each_of_several_counts_where_all_are_caught_up_with():
    assert decided(trigger(catch_up="all"), [span(2), span(1)]) == [
        ("1", "fire", "span 1 came"),
        ("2", "wait", "the run of span 1 has to end first"),
    ]


def test_what_came_long_ago_is_left_out_without_catching_up():
    old = span(1, NOW - timedelta(hours=2))
    assert decided(trigger(catch_up="none"), [old]) == [
        ("1", "skip", "it had come 2 h before anybody looked, and catch_up is none")
    ]


def test_how_long_is_too_long_can_be_said():
    old = span(1, NOW - timedelta(hours=2))
    assert decided(trigger(catch_up="none", late_after="3h"), [old])[0][1] == "fire"


@pytest.mark.parametrize(
    ("concurrency", "expected"),
    [
        ("queue", ("2", "wait", "the run of span 1 has to end first")),
        ("skip", ("2", "skip", "the run of span 1 is under way")),
        (
            "replace",
            ("2", "wait", "it takes the place of the run of span 1, which has to end first"),
        ),
    ],
)
def test_what_comes_while_a_run_is_under_way(concurrency, expected):
    history = [fired(1, active=True)]
    assert decided(trigger(concurrency=concurrency), [span(2)], history) == [expected]


def test_what_takes_the_place_of_a_run_names_it():
    [decision] = decide(trigger(concurrency="replace"), [span(2)], [fired(1, active=True)], NOW)
    assert decision.replaces == ("1",)


def test_a_run_is_asked_to_end_once():
    history = [fired(1, active=True, ending=True)]
    [decision] = decide(trigger(concurrency="replace"), [span(2)], history, NOW)
    assert decision.replaces == ()


def test_what_waits_starts_when_the_run_has_ended():
    assert decided(trigger(), [], [fired(1), waits(2)]) == [("2", "fire", "span 2 came")]


def test_what_waits_for_the_same_is_not_decided_again():
    history = [fired(1, active=True), waits(2, "the run of span 1 has to end first")]
    assert decided(trigger(), [span(2)], history) == []


def test_what_waits_makes_way_for_what_comes_later():
    history = [fired(1, active=True), waits(2, "the run of span 1 has to end first")]
    assert decided(trigger(), [span(3)], history) == [
        ("2", "skip", "span 3 came after it, and the last one counts"),
        ("3", "wait", "the run of span 1 has to end first"),
    ]


@pytest.mark.parametrize(("catch_up", "verdict"), [("last", "wait"), ("none", "skip")])
def test_in_the_cool_down_no_run_starts(catch_up, verdict):
    cooling = trigger(cool_down_hours=4, catch_up=catch_up)
    assert decided(cooling, [span(2)], [fired(1)]) == [
        ("2", verdict, "it cools down until 2026-05-04 13:00:00 UTC")
    ]


def test_when_the_cool_down_is_over_a_run_starts():
    history = [fired(1, NOW - timedelta(hours=4)), waits(2)]
    assert decided(trigger(cool_down_hours=4), [], history)[0][:2] == ("2", "fire")


def test_a_day_has_no_more_runs_than_its_limit():
    limited = trigger(limit_a_day=1)
    assert decided(limited, [span(2)], [fired(1)]) == [
        ("2", "wait", "1 run began on 2026-05-04, and the limit is 1")
    ]


def test_the_next_day_has_a_limit_of_its_own():
    later = NOW + timedelta(hours=12)
    assert decided(trigger(limit_a_day=1), [span(2)], [fired(1)], later)[0][1] == "fire"


def test_a_day_is_one_of_the_trigger_s_time_zone():
    when = When(span="data/span-{SPAN}", timezone="Asia/Tokyo")
    limited = Trigger(when, "flights", limit_a_day=1)
    # 23:30 in Tokyo, and half an hour past midnight.
    history = [fired(1, datetime(2026, 5, 4, 14, 30, tzinfo=UTC))]
    assert decided(limited, [span(2)], history, datetime(2026, 5, 4, 15, 30, tzinfo=UTC))[0][1] == (
        "fire"
    )


@dataclass
class Life:
    """What becomes of a trigger that is looked at again and again, kept as the journal keeps it."""

    trigger: Trigger
    now: datetime = NOW
    history: dict[str, Past] = field(default_factory=dict)
    came: list[Evidence] = field(default_factory=list)
    starts: list[tuple[str, datetime]] = field(default_factory=list)

    def look(self) -> None:
        for decision in decide(self.trigger, self.came, self.history.values(), self.now):
            earlier = self.history.get(decision.key)
            assert earlier is None or earlier.verdict is Verdict.WAIT
            assert decision.reason
            fires = decision.verdict is Verdict.FIRE
            if fires:
                assert not any(past.active for past in self.history.values())
                self.starts.append((decision.key, self.now))
            self.history[decision.key] = Past(
                decision.evidence,
                decision.verdict,
                decision.reason,
                self.now if fires else None,
                fires,
            )
            for key in decision.replaces:
                self.history[key] = replace(self.history[key], ending=True)
        assert decide(self.trigger, self.came, self.history.values(), self.now) == ()

    def end_runs(self) -> None:
        self.history = {k: replace(p, active=False) for k, p in self.history.items()}

    def keys(self, verdict: Verdict) -> set[str]:
        return {key for key, past in self.history.items() if past.verdict is verdict}


options = st.fixed_dictionaries(
    {
        "concurrency": st.sampled_from(POLICIES),
        "catch_up": st.sampled_from(CATCH_UPS),
        "cool_down_hours": st.sampled_from([0, 1, 5, 30]),
        "limit_a_day": st.sampled_from([None, 1, 2]),
    }
).filter(lambda o: o["catch_up"] != "all" or o["concurrency"] == "queue")
acts = st.lists(
    st.one_of(
        st.tuples(st.just("come"), st.integers(0, 30)),
        st.tuples(st.just("wait"), st.sampled_from([1, 50, 300, 1500])),
        st.tuples(st.just("end"), st.just(0)),
        st.tuples(st.just("look"), st.just(0)),
    ),
    max_size=60,
)


def lived(options, acts):
    life = Life(trigger(**options))
    for act, number in acts:
        if act == "come":
            life.came.append(span(number, life.now))
        elif act == "wait":
            life.now += timedelta(minutes=number)
        elif act == "end":
            life.end_runs()
        else:
            life.look()
    return life


def come_to_rest(life):
    """Let time go by until nothing is left to be done."""
    for _ in range(200):
        life.look()
        if not life.keys(Verdict.WAIT) and not any(p.active for p in life.history.values()):
            return
        life.end_runs()
        life.now += timedelta(hours=12)
    raise AssertionError("something waits for ever")


@settings(max_examples=300, deadline=None)
@given(options, acts)
def test_no_day_has_more_runs_than_the_limit(options, acts):
    life = lived(options, acts)
    come_to_rest(life)
    days = [at.date() for _, at in life.starts]
    limit = options["limit_a_day"] or len(days)
    assert all(days.count(day) <= limit for day in days)


@settings(max_examples=300, deadline=None)
@given(options, acts)
def test_between_two_starts_lies_the_cool_down(options, acts):
    life = lived(options, acts)
    come_to_rest(life)
    gap = life.trigger.cool_down_time
    times = [at for _, at in life.starts]
    assert all(later - sooner >= gap for sooner, later in pairwise(times))


@settings(max_examples=300, deadline=None)
@given(options, acts)
def test_no_key_starts_two_runs(options, acts):
    life = lived(options, acts)
    come_to_rest(life)
    keys = [key for key, _ in life.starts]
    assert len(keys) == len(set(keys))


@settings(max_examples=300, deadline=None)
@given(options, acts)
def test_everything_is_decided_about_in_the_end(options, acts):
    life = lived(options, acts)
    come_to_rest(life)
    assert life.keys(Verdict.FIRE) | life.keys(Verdict.SKIP) == {item.key for item in life.came}


@settings(max_examples=300, deadline=None)
@given(options.map(lambda o: {**o, "concurrency": "queue", "catch_up": "all"}), acts)
def test_nothing_is_lost_where_all_are_caught_up_with(options, acts):
    life = lived(options, acts)
    come_to_rest(life)
    assert {key for key, _ in life.starts} == {item.key for item in life.came}


@settings(max_examples=300, deadline=None)
@given(options.map(lambda o: {**o, "catch_up": "last"}), acts)
def test_of_what_comes_last_a_run_starts_unless_one_is_under_way(options, acts):
    life = lived(options, acts)
    life.end_runs()
    life.now += timedelta(days=3)
    life.came.append(span(31, life.now))
    come_to_rest(life)
    assert "31" in {key for key, _ in life.starts}


@settings(max_examples=200, deadline=None)
@given(options, acts, st.randoms(use_true_random=False))
def test_the_order_of_what_is_told_changes_nothing(options, acts, random):
    life = lived(options, acts)
    life.came.append(span(32, life.now))
    unlike = list({item.key: item for item in life.came}.values())
    shuffled, history = list(unlike), list(life.history.values())
    random.shuffle(shuffled)
    random.shuffle(history)
    ordered = decide(life.trigger, unlike, life.history.values(), life.now)
    assert {d.key: d.verdict for d in decide(life.trigger, shuffled, history, life.now)} == {
        d.key: d.verdict for d in ordered
    }
