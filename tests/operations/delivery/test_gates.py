"""What is promoted, decided on evidence alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.data.results.evaluation import OVERALL, SliceMetric
from penstock.operations.delivery.gates import (
    Evidence,
    Judged,
    before_building,
    before_promoting,
)
from penstock.project.environments import Environment, MetricGate

pytestmark = pytest.mark.core

SIGNATURE = {
    "inputs": [{"name": "distance", "type": "float64"}],
    "outputs": [{"name": "late", "type": "float32"}],
}


def metric(value, name=OVERALL, width=0.01):
    bounds = (None, None) if width is None else (value - width, value + width)
    return SliceMetric(name, "auc", value, *bounds)


def judged(*metrics, name="the new model", **more):
    facts = {"blessed": True, "infra": "", "signature": SIGNATURE}
    return Judged(name, metrics=metrics or (metric(0.9),), **{**facts, **more})


def environment(gate=None, **more):
    return Environment(name="production", gates={"auc": gate} if gate else {}, **more)


def evidence(model=None, champion=None, **more):
    return Evidence(
        "f1",
        checks=(),
        model=model or judged(),
        references={"champion": champion},
        deployed=champion,
        **more,
    )


def refusing(gates):
    return {gate.name: gate.reason for gate in gates if not gate.holds}


def test_all_gates_hold_for_a_good_model():
    gate = MetricGate(at_least=0.8, not_worse_than="champion")
    gates = before_promoting(environment(gate), evidence(champion=judged(name="m@1")))
    assert refusing(gates) == {}


def test_without_a_record_of_checks_it_is_refused():
    gates = before_building(environment(), replace(evidence(), checks=None))
    assert refusing(gates) == {"checks": "no record of penstock ci check for this fingerprint"}


def test_checks_that_did_not_pass_are_named():
    gates = before_building(environment(), replace(evidence(), checks=("tests", "compile")))
    assert refusing(gates) == {"checks": "did not pass: tests, compile"}


def test_an_environment_that_is_needed_must_have_the_fingerprint():
    needing = environment(needs=("staging",))
    assert refusing(before_building(needing, evidence())) == {
        "needs staging": "staging has not got this fingerprint"
    }
    there = replace(evidence(), promoted=frozenset({"staging"}))
    assert refusing(before_building(needing, there)) == {}


def test_an_approval_is_asked_for():
    needing = environment(approval=True)
    assert "approval" in refusing(before_building(needing, evidence()))
    assert refusing(before_building(needing, replace(evidence(), approved_by="ann"))) == {}


def test_without_a_model_it_is_refused():
    gates = before_promoting(environment(), Evidence("f1"))
    assert refusing(gates) == {"model": "the run has made no model that could be judged"}


@pytest.mark.parametrize(("blessed", "reason"), [(False, "not blessed"), (None, "no blessing")])
def test_what_is_not_blessed_is_refused(blessed, reason):
    gates = before_promoting(environment(), evidence(judged(blessed=blessed)))
    assert reason in refusing(gates)["blessing"]


@pytest.mark.parametrize("infra", [None, "it does not load"])
def test_what_nobody_saw_answer_is_refused(infra):
    gates = before_promoting(environment(), evidence(judged(infra=infra)))
    assert "infra" in refusing(gates)


def test_another_signature_is_refused_with_the_columns():
    other = {**SIGNATURE, "inputs": [{"name": "airport", "type": "string"}]}
    gates = before_promoting(
        environment(), evidence(judged(signature=other), champion=judged(name="m@1"))
    )
    assert refusing(gates) == {
        "signature": "other than that of m@1: input distance is gone, input airport is new"
    }


def test_another_signature_is_taken_if_it_is_declared():
    other = {**SIGNATURE, "inputs": [{"name": "airport", "type": "string"}]}
    gates = before_promoting(
        environment(),
        evidence(
            judged(signature=other), champion=judged(name="m@1"), signature_change="by airport now"
        ),
    )
    assert refusing(gates) == {}


def test_an_unknown_signature_is_refused():
    gates = before_promoting(
        environment(), evidence(judged(signature=None), champion=judged(name="m@1"))
    )
    assert "do not say what it takes" in refusing(gates)["signature"]


@pytest.mark.parametrize(
    ("gate", "value", "reason"),
    [
        (MetricGate(at_least=0.95), 0.9, "0.9, at least 0.95"),
        (MetricGate(at_most=0.5), 0.9, "0.9, at most 0.5"),
        (MetricGate(at_least=0.1), float("nan"), "it is not a number"),
    ],
)
def test_a_metric_beyond_its_bound_is_refused(gate, value, reason):
    gates = before_promoting(environment(gate), evidence(judged(metric(value))))
    assert reason in refusing(gates)["auc"]


def test_a_metric_that_is_not_there_is_refused():
    gates = before_promoting(
        replace(environment(), gates={"recall": MetricGate(at_least=0.1)}), evidence()
    )
    assert refusing(gates) == {"recall": "the evaluation has no such metric: there are auc"}


@pytest.mark.parametrize(
    ("gate", "champion", "holds"),
    [
        (MetricGate(not_worse_than="champion"), 0.913, True),
        (MetricGate(not_worse_than="champion"), 0.915, False),
        (MetricGate(better_than="champion"), 0.888, False),
        (MetricGate(better_than="champion"), 0.885, True),
        (MetricGate(better_than="champion", lower_is_better=True), 0.915, True),
        (MetricGate(not_worse_than="champion", tolerance=0.05), 0.94, True),
    ],
)
def test_differences_within_noise_count_for_nothing(gate, champion, holds):
    # Two half-widths of 0.01 make noise of 0.01414.
    gates = before_promoting(
        environment(gate), evidence(champion=judged(metric(champion), name="m@1"))
    )
    assert ("auc beside m@1" not in refusing(gates)) == holds


def test_without_intervals_or_a_tolerance_nobody_knows_what_is_noise():
    gate = MetricGate(not_worse_than="champion")
    gates = before_promoting(
        environment(gate),
        evidence(judged(metric(0.9, width=None)), champion=judged(metric(0.1), name="m@1")),
    )
    assert "neither confidence intervals nor a tolerance" in refusing(gates)["auc beside m@1"]


def test_a_slice_that_is_worse_is_refused_and_named():
    gate = MetricGate(not_worse_than="champion")
    gates = before_promoting(
        environment(gate),
        evidence(
            judged(metric(0.9), metric(0.5, "airport:LGA"), metric(0.95, "airport:JFK")),
            champion=judged(
                metric(0.9), metric(0.88, "airport:LGA"), metric(0.9, "airport:JFK"), name="m@1"
            ),
        ),
    )
    assert refusing(gates) == {"auc beside m@1, by slice": "airport:LGA 0.88 -> 0.5"}


def test_a_slice_that_is_gone_is_refused():
    gate = MetricGate(not_worse_than="champion")
    gates = before_promoting(
        environment(gate),
        evidence(
            judged(metric(0.9)),
            champion=judged(metric(0.9), metric(0.88, "airport:LGA"), name="m@1"),
        ),
    )
    assert refusing(gates) == {"auc beside m@1, by slice": "airport:LGA has no value"}


def test_slices_can_be_left_out_of_account():
    gate = MetricGate(not_worse_than="champion", slices=False)
    gates = before_promoting(
        environment(gate),
        evidence(
            judged(metric(0.9)),
            champion=judged(metric(0.9), metric(0.88, "airport:LGA"), name="m@1"),
        ),
    )
    assert refusing(gates) == {}


def test_the_first_model_is_compared_with_nothing():
    gate = MetricGate(better_than="champion")
    assert refusing(before_promoting(environment(gate), evidence())) == {}


def test_a_reference_of_which_nothing_is_known_is_a_refusal():
    gate = MetricGate(better_than="shadow")
    gates = before_promoting(environment(gate), evidence())
    assert refusing(gates) == {
        "auc": "it has no alias shadow, and no environment gives one of that name"
    }


numbers = st.floats(-10, 10)


@given(numbers, numbers, st.floats(0, 5), st.floats(0, 5), st.booleans())
def test_what_is_better_beyond_noise_is_not_worse(mine, theirs, width, other_width, lower):
    def holds(**asked):
        gate = MetricGate(lower_is_better=lower, **asked)
        gates = before_promoting(
            environment(gate),
            evidence(
                judged(metric(mine, width=width)),
                champion=judged(metric(theirs, width=other_width), name="m@1"),
            ),
        )
        return "auc beside m@1" not in refusing(gates)

    if holds(better_than="champion"):
        assert holds(not_worse_than="champion")


@given(numbers, numbers, st.floats(0, 5))
def test_of_two_models_at_most_one_is_better_than_the_other(one, other, width):
    gate = MetricGate(better_than="champion")

    def is_better(mine, theirs):
        gates = before_promoting(
            environment(gate),
            evidence(
                judged(metric(mine, width=width)),
                champion=judged(metric(theirs, width=width), name="m@1"),
            ),
        )
        return "auc beside m@1" not in refusing(gates)

    assert not (is_better(one, other) and is_better(other, one))


def test_columns_in_another_order_are_said_to_be_so():
    columns = [{"name": name, "type": "float64"} for name in ("one", "other")]
    before = judged(name="flights@1", signature={"inputs": columns, "outputs": []})
    after = judged(signature={"inputs": columns[::-1], "outputs": []})
    gates = before_promoting(environment(), evidence(after, champion=before))
    assert refusing(gates) == {
        "signature": "other than that of flights@1: its columns are in another order"
    }
