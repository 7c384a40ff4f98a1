"""Gates hold, ring, or do not know yet: as the sample is, and no more often than they should."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from penstock.monitoring import intervals
from penstock.operations.releases import statistics
from penstock.operations.releases.gates import Measure, State, Verdict, judge
from penstock.project.deployments import (
    BusinessGate,
    DriftGate,
    ErrorsGate,
    Gates,
    LatencyGate,
)
from penstock.serving.evidence import Answers
from penstock.serving.routes import CANARY, SHADOW
from penstock.serving.sketches import bin_of, sketch_of
from penstock_support.releases import answers, evidence

GATES = Gates()


def verdict(gate: str, new: Answers, old: Answers | None = None, **options) -> Verdict:
    gates = options.pop("gates", GATES)
    role = options.pop("role", CANARY)
    found = judge(gates, role, evidence(new, old), candidate=2, production=1, **options)
    return next(v for v in found if v.gate == gate)


def state(gate: str, new: Answers, old: Answers | None = None, **options) -> State:
    return verdict(gate, new, old, **options).state


def test_without_evidence_nothing_is_known():
    found = judge(GATES, CANARY, None, candidate=2, production=1)
    assert {v.state for v in found} == {State.UNKNOWN}


def test_a_version_that_does_as_well_passes_all_gates():
    found = judge(GATES, CANARY, evidence(), candidate=2, production=1)
    assert {v.state for v in found} == {State.HOLDS}


@pytest.mark.parametrize(
    ("requests", "errors", "expected"),
    [
        (9, 9, State.UNKNOWN),
        (12, 12, State.ALARM),
        (99, 0, State.UNKNOWN),
        (1000, 0, State.HOLDS),
        (1000, 30, State.UNKNOWN),
        (20_000, 1000, State.ALARM),
    ],
)
def test_errors_are_judged_as_the_sample_allows(requests, errors, expected):
    assert state("errors", answers(requests, errors=errors)) == expected


def test_requests_that_only_the_new_version_refuses_are_bad_answers():
    assert state("errors", replace(answers(), refused=2000)) == State.ALARM
    both = replace(answers(), refused=2000)
    assert state("errors", both, both) == State.HOLDS


def test_a_shadow_is_asked_only_what_was_answered_well():
    both = replace(answers(), refused=2000)
    assert state("errors", both, both, role=SHADOW) == State.ALARM
    assert state("errors", answers(), both, role=SHADOW) == State.HOLDS


def test_predictions_that_are_no_numbers_are_an_alarm():
    found = verdict("numbers", replace(answers(), not_finite=2000))
    assert found.state == State.ALARM
    assert found.reason.startswith("10 % predictions that are no number of 20000")


@pytest.mark.parametrize(
    ("requests", "seconds", "expected"),
    [
        (80, 0.01, State.UNKNOWN),
        (100_000, 0.01, State.HOLDS),
        (100_000, 0.05, State.ALARM),
    ],
)
def test_latency_is_judged_by_a_quantile(requests, seconds, expected):
    assert state("latency", answers(requests, seconds=seconds)) == expected


def test_a_few_milliseconds_are_no_matter():
    quick = answers(seconds=0.0005)
    assert state("latency", answers(seconds=0.002), quick) == State.HOLDS


def test_a_slow_tail_is_an_alarm_though_most_answers_are_quick():
    spread = {bin_of(0.01): 18_000, bin_of(1.0): 2000}
    assert state("latency", replace(answers(), latency=spread)) == State.ALARM


@pytest.mark.parametrize("test", ["js", "psi"])
def test_predictions_that_drift_are_an_alarm(test):
    gates = Gates(drift=DriftGate(test=test))
    assert state("drift", answers(turned=True), gates=gates) == State.ALARM
    assert state("drift", answers(), gates=gates) == State.HOLDS


def test_of_a_small_sample_a_difference_of_predictions_may_be_chance():
    small = answers(120, turned=True)
    gates = Gates(drift=DriftGate(threshold=0.5))
    assert state("drift", small, small, gates=gates) == State.HOLDS
    assert state("drift", answers(120, turned=True), answers(120)) == State.UNKNOWN


def test_a_shadow_has_to_agree_row_by_row():
    gates = Gates(drift=DriftGate(agreement=0.9))
    assert state("agreement", answers(), role=SHADOW, gates=gates) == State.HOLDS
    gates = Gates(drift=DriftGate(agreement=0.995))
    assert state("agreement", answers(), role=SHADOW, gates=gates) == State.UNKNOWN
    strict = judge(
        gates,
        SHADOW,
        replace(evidence(), compared=replace(evidence().compared, agreeing=500)),
        candidate=2,
        production=1,
    )
    assert next(v for v in strict if v.gate == "agreement").state == State.ALARM


def test_a_gate_that_is_switched_off_says_nothing():
    gates = Gates(
        errors=ErrorsGate(enabled=False),
        latency=LatencyGate(enabled=False),
        drift=DriftGate(enabled=False),
    )
    assert judge(gates, CANARY, None, candidate=2, production=1) == ()


BOOKINGS = ("bookings",)


def business(gate: BusinessGate, *, new: Measure | None, old: Measure | None) -> State:
    measures = {n: m for n, m in ((2, new), (1, old)) if m is not None}
    return state(
        "bookings",
        answers(),
        gates=Gates(business={"bookings": gate}),
        business={"bookings": measures},
    )


@pytest.mark.parametrize(
    ("new", "old", "expected"),
    [
        (Measure(0.10), Measure(0.10), State.HOLDS),
        (Measure(0.05), Measure(0.10), State.ALARM),
        (Measure(0.099, 0.08, 0.12), Measure(0.10, 0.099, 0.101), State.UNKNOWN),
        (Measure(0.05, 0.04, 0.06), Measure(0.10, 0.09, 0.11), State.ALARM),
        (None, Measure(0.10), State.UNKNOWN),
        (Measure(0.10), None, State.UNKNOWN),
        (Measure(math.nan), Measure(0.10), State.UNKNOWN),
    ],
)
def test_a_number_of_the_business_is_compared_within_its_noise(new, old, expected):
    gate = BusinessGate(command=BOOKINGS, tolerance=0.01)
    assert business(gate, new=new, old=old) == expected


def test_without_intervals_or_a_tolerance_nobody_knows_what_is_noise():
    gate = BusinessGate(command=BOOKINGS)
    assert business(gate, new=Measure(0.2), old=Measure(0.1)) == State.UNKNOWN


def test_of_some_numbers_less_is_better():
    gate = BusinessGate(command=BOOKINGS, tolerance=0.01, lower_is_better=True)
    assert business(gate, new=Measure(0.05), old=Measure(0.10)) == State.HOLDS
    assert business(gate, new=Measure(0.20), old=Measure(0.10)) == State.ALARM


def test_a_number_has_to_be_beyond_a_bound():
    gate = BusinessGate(command=BOOKINGS, at_least=0.05)
    assert business(gate, new=Measure(0.06), old=None) == State.HOLDS
    assert business(gate, new=Measure(0.04), old=None) == State.ALARM


def test_numbers_of_the_business_are_not_asked_of_a_shadow():
    gates = Gates(business={"bookings": BusinessGate(command=BOOKINGS, tolerance=0.01)})
    found = judge(gates, SHADOW, evidence(), candidate=2, production=1)
    assert "bookings" not in {v.gate for v in found}


def test_who_looks_at_every_request_is_seldom_wrong_about_errors():
    # Both versions have the same share of errors, and are looked at as their samples grow.
    random = np.random.default_rng(3)
    gates, alarms, trials = Gates(errors=ErrorsGate(tolerance=0.0)), 0, 300
    for _ in range(trials):
        wrong = (random.random((2, 3000)) < 0.05).cumsum(axis=1)
        for size in range(10, 3000, 30):
            new, old = (
                Answers(requests=size, errors=int(count[size - 1]), rows=size) for count in wrong
            )
            found = judge(gates, CANARY, evidence(new, old), candidate=2, production=1)
            if found[0].state is State.ALARM:
                alarms += 1
                break
    assert Fraction(alarms, trials) <= Fraction(5, 100)


def test_who_looks_again_and_again_is_seldom_wrong_about_latency_and_drift():
    random = np.random.default_rng(4)
    gates = Gates(latency=LatencyGate(ratio=1.0, seconds=0.0), drift=DriftGate(threshold=1e-9))
    wrong, trials = {"latency": 0, "drift": 0}, 100
    for _ in range(trials):
        times = random.lognormal(-4, 0.5, (2, 2000))
        scores = random.beta(2, 5, (2, 2000))
        rung = set()
        for size in (150, 300, 600, 1000, 1500, 2000):
            new, old = (
                Answers(
                    requests=size,
                    rows=size,
                    latency=sketch_of(times[which, :size]),
                    scores=sketch_of(scores[which, :size]),
                )
                for which in (0, 1)
            )
            found = judge(gates, CANARY, evidence(new, old), candidate=2, production=1)
            rung |= {v.gate for v in found if v.state is State.ALARM}
        for gate in wrong:
            wrong[gate] += gate in rung
    assert max(wrong.values()) <= 5


def test_bounds_of_a_quantile_contain_it_as_often_as_they_should():
    random = np.random.default_rng(5)
    z, true = 1.96, math.exp(0.5 * 1.6448536)
    hits = 0
    for _ in range(300):
        sketch = sketch_of(random.lognormal(0, 0.5, 800))
        bounds = intervals.quantile(sketch, 0.95, z)
        hits += bounds.lower / 1.03 <= true <= bounds.upper * 1.03
    assert hits >= 0.94 * 300


def test_the_approximation_of_chi_square_is_near_the_table():
    # 95 % quantiles of 1, 9 and 30 degrees of freedom.
    for degrees, value in ((1, 3.841), (9, 16.919), (30, 43.773)):
        assert statistics.chi_square(degrees, 1.6448536) == pytest.approx(value, rel=0.03)


def burst(random: np.random.Generator, spans: int, size: int) -> Answers:
    """Return answers over some time, in which now and then all are slow for a moment."""
    slow = np.where(random.random(spans) < 0.1, 10.0, 1.0)
    times = random.lognormal(-4, 0.3, (spans, size)) * slow[:, None]
    parts = tuple(sketch_of(part) for part in times)
    return Answers(requests=spans * size, latency=sketch_of(times), latency_spans=parts)


def test_what_is_slow_for_a_moment_is_no_alarm():
    random = np.random.default_rng(6)
    gates, alarms, trials = Gates(latency=LatencyGate(ratio=1.0, seconds=0.0)), 0, 200
    for _ in range(trials):
        new, old = burst(random, 40, 50), burst(random, 40, 50)
        alarms += state("latency", new, old, gates=gates) is State.ALARM
    assert alarms <= 0.05 * trials


def test_what_is_always_slower_is_an_alarm_through_slow_moments():
    old = burst(np.random.default_rng(7), 60, 100)
    spans = tuple({key + 40: n for key, n in span.items()} for span in old.latency_spans)
    new = replace(old, latency={key + 40: n for key, n in old.latency.items()}, latency_spans=spans)
    gates = Gates(latency=LatencyGate(quantile=0.5))
    assert state("latency", new, old, gates=gates) is State.ALARM


def test_a_moment_says_nothing_certain_of_latency():
    random = np.random.default_rng(8)
    found = verdict("latency", burst(random, 3, 200), burst(random, 3, 200))
    assert found.state is State.UNKNOWN
    assert found.reason == "too short a time was seen: what is slow may be slow for a moment"


def test_a_shadow_is_judged_by_its_work_and_not_by_its_queue():
    slow = replace(answers(), latency={bin_of(5.0): 20_000})
    assert state("latency", slow, role=SHADOW) is State.HOLDS
    assert state("latency", slow, role=CANARY) is State.ALARM
