"""Whether a new version does as well as what serves: decided on evidence alone.

A gate holds where the evidence says that the new version is not worse than is allowed, it is an
alarm where the evidence says that it is, and until one of both is so nobody knows. What the
evidence does not say is not known.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from penstock.monitoring import intervals
from penstock.monitoring.intervals import Bounds
from penstock.operations.releases import statistics
from penstock.operations.releases.statistics import FEWEST
from penstock.project.deployments import BusinessGate, DriftGate, ErrorsGate, Gates, LatencyGate
from penstock.serving.evidence import Answers, Evidence
from penstock.serving.routes import PRODUCTION, SHADOW
from penstock.serving.sketches import Sketch, count_of

# The distribution of numbers is compared in so many bins.
_BINS = 10
# Two numbers in one bin of a sketch may be so many times apart.
_BIN_WIDTH = 1.052
_NOT_A_NUMBER = "not a number"
# With fewer spans of time nobody knows how much those of one hang together.
_FEWEST_SPANS = 8


class State(enum.Enum):
    """What the evidence says."""

    HOLDS = "holds"
    ALARM = "alarm"
    UNKNOWN = "not known"


@dataclass(frozen=True)
class Verdict:
    """What a gate says; `reason` has the numbers."""

    gate: str
    state: State
    reason: str

    def to_json(self) -> dict[str, str]:
        """Return it as JSON values."""
        return {"gate": self.gate, "state": self.state.value, "reason": self.reason}

    @classmethod
    def from_json(cls, entry: Mapping[str, str]) -> Verdict:
        """Return what `to_json` wrote."""
        return cls(entry["gate"], State(entry["state"]), entry["reason"])


@dataclass(frozen=True)
class Measure:
    """A number of a version that somebody else knows; the bounds are at 95 %."""

    value: float
    lower: float | None = None
    upper: float | None = None


Business = Mapping[str, Mapping[int, Measure]]


def judge(
    gates: Gates,
    role: str,
    evidence: Evidence | None,
    *,
    candidate: int,
    production: int,
    business: Business | None = None,
    raised: Mapping[str, str] | None = None,
) -> tuple[Verdict, ...]:
    """Return what each gate says of the version that has a role beside production.

    Numbers of business are those of callers, whom a shadow does not answer. `raised` has what
    alerts say that were raised meanwhile, by their names; None where nobody has looked.
    """
    answers = evidence.answers if evidence is not None else {}
    new, old = answers.get(role, Answers()), answers.get(PRODUCTION, Answers())
    verdicts: list[Verdict] = []
    if gates.errors.enabled:
        verdicts.append(_errors(gates.errors, new, old, role, gates.confidence))
        verdicts.append(_finite(gates.errors, new, old, gates.confidence))
    if gates.latency.enabled:
        # Nobody waits for a shadow, so what counts there is how long its workers take.
        mine, theirs = (_times(answers, of_work=role == SHADOW) for answers in (new, old))
        verdicts.append(_latency(gates.latency, mine, theirs, gates.confidence))
    if gates.drift.enabled:
        verdicts.append(_drift(gates.drift, new, old, gates.confidence))
        if role == SHADOW and gates.drift.agreement:
            verdicts.append(_agreement(gates.drift, evidence, gates.confidence))
    if role != SHADOW:
        known = business or {}
        for name, gate in gates.business.items():
            numbers = known.get(name, {})
            verdicts += _business(name, gate, numbers.get(candidate), numbers.get(production))
    verdicts += [_alert(name, raised) for name in gates.alerts]
    return tuple(verdicts)


def _alert(name: str, raised: Mapping[str, str] | None) -> Verdict:
    if raised is None:
        return Verdict(name, State.UNKNOWN, "nobody has looked whether it was raised")
    if name in raised:
        return Verdict(name, State.ALARM, f"it was raised: {raised[name]}")
    return Verdict(name, State.HOLDS, "it was not raised")


def _too_few(gate: str, what: str, new: int, old: int, needed: int) -> Verdict | None:
    if min(new, old) >= needed:
        return None
    counts = f"{new} {what} of the new version, {old} of what serves"
    return Verdict(gate, State.UNKNOWN, f"{counts}; {needed} of each are needed")


def _errors(gate: ErrorsGate, new: Answers, old: Answers, role: str, confidence: float) -> Verdict:
    counts = (old.errors + old.refused, old.requests)
    if role == SHADOW:
        # What is copied is what production has answered well.
        counts = (0, new.requests)
    bad = (new.errors + new.refused, new.requests)
    return _shares("errors", "requests", gate, bad, counts, confidence)


def _finite(gate: ErrorsGate, new: Answers, old: Answers, confidence: float) -> Verdict:
    return _shares(
        "numbers",
        "rows",
        gate,
        (new.not_finite, max(new.rows, new.not_finite)),
        (old.not_finite, max(old.rows, old.not_finite)),
        confidence,
    )


def _shares(
    name: str,
    what: str,
    gate: ErrorsGate,
    new: tuple[int, int],
    old: tuple[int, int],
    confidence: float,
) -> Verdict:
    few = _too_few(name, what, new[1], old[1], FEWEST)
    if few is not None:
        return Verdict(
            name, State.UNKNOWN, few.reason.replace(f"{FEWEST} of", f"{gate.requests} of")
        )
    z = statistics.deviations(min(new[1], old[1]), confidence)
    apart = intervals.difference(intervals.share(*new, z), intervals.share(*old, z))
    subject = "bad answers" if name == "errors" else "predictions that are no number"
    reason = (
        f"{_percent(new[0] / new[1])} {subject} of {new[1]}, what serves has "
        f"{_percent(old[0] / old[1])} of {old[1]}; the difference is {_percent(apart.lower)} to "
        f"{_percent(apart.upper)}, allowed are {_percent(gate.tolerance)}"
    )
    if apart.lower > gate.tolerance:
        return Verdict(name, State.ALARM, reason)
    few = _too_few(name, what, new[1], old[1], gate.requests)
    if few is not None:
        return few
    return Verdict(name, State.HOLDS if apart.upper <= gate.tolerance else State.UNKNOWN, reason)


@dataclass(frozen=True)
class _Times:
    """Seconds, together and by spans of time."""

    all: Sketch
    spans: tuple[Sketch, ...]


def _times(answers: Answers, *, of_work: bool) -> _Times:
    if of_work:
        return _Times(answers.work, answers.work_spans)
    return _Times(answers.latency, answers.latency_spans)


def _latency(gate: LatencyGate, new: _Times, old: _Times, confidence: float) -> Verdict:
    sizes = count_of(new.all), count_of(old.all)
    few = _too_few("latency", "answers", *sizes, gate.requests)
    if few is not None:
        return few
    for times in (new, old):
        if times.spans and sum(map(bool, times.spans)) < _FEWEST_SPANS:
            reason = "too short a time was seen: what is slow may be slow for a moment"
            return Verdict("latency", State.UNKNOWN, reason)
    z = statistics.deviations(min(sizes), confidence)
    mine = intervals.quantile(new.all, gate.quantile, z, new.spans)
    theirs = intervals.quantile(old.all, gate.quantile, z, old.spans)
    title = f"p{gate.quantile * 100:g}"
    if mine is None or theirs is None:
        reason = f"{min(sizes)} answers say nothing certain of {title}"
        return Verdict("latency", State.UNKNOWN, reason)
    apart = intervals.difference(_logarithm(mine), _logarithm(theirs))
    # Where both are short, a few milliseconds are no matter.
    allowed = math.log(gate.ratio + gate.seconds / max(theirs.value, 1e-9))
    reason = (
        f"{title} is {_milliseconds(mine.value)}, that of what serves "
        f"{_milliseconds(theirs.value)}: {math.exp(apart.lower):.2f} to "
        f"{math.exp(apart.upper):.2f} times; allowed are {math.exp(allowed):.2f}"
    )
    if apart.lower - math.log(_BIN_WIDTH) > allowed:
        return Verdict("latency", State.ALARM, reason)
    return Verdict("latency", State.HOLDS if apart.upper <= allowed else State.UNKNOWN, reason)


def _logarithm(bounds: Bounds) -> Bounds:
    return Bounds(*(math.log(max(v, 1e-9)) for v in (bounds.value, bounds.lower, bounds.upper)))


def _drift(gate: DriftGate, new: Answers, old: Answers, confidence: float) -> Verdict:
    few = _too_few("drift", "rows", new.rows, old.rows, gate.rows)
    if few is not None:
        return few
    z = statistics.deviations(min(new.rows, old.rows), confidence)
    found = []
    if new.classes or old.classes:
        found.append(("classes", statistics.divergence(new.classes, old.classes, gate.test, z)))
    if new.scores or old.scores or new.not_finite or old.not_finite:
        mine, theirs = statistics.binned(new.scores, old.scores, _BINS)
        one: dict[Any, int] = {**mine, _NOT_A_NUMBER: new.not_finite}
        other: dict[Any, int] = {**theirs, _NOT_A_NUMBER: old.not_finite}
        kept = {bin for bin in {*one, *other} if one.get(bin) or other.get(bin)}
        found.append(
            (
                "scores",
                statistics.divergence(
                    {b: n for b, n in one.items() if b in kept},
                    {b: n for b, n in other.items() if b in kept},
                    gate.test,
                    z,
                ),
            )
        )
    states, reasons = [], []
    for what, apart in found:
        if apart is None:
            states.append(State.UNKNOWN)
            reasons.append(f"only one of the versions gives {what}")
            continue
        reasons.append(
            f"{gate.test} of {what} is {apart.value:.3g}, by chance up to {apart.noise:.3g}; "
            f"allowed are {gate.threshold:g}"
        )
        if apart.lower > gate.threshold:
            states.append(State.ALARM)
        elif apart.noise <= gate.threshold and apart.value <= gate.threshold:
            states.append(State.HOLDS)
        else:
            states.append(State.UNKNOWN)
    if not states:
        return Verdict("drift", State.UNKNOWN, "the predictions are neither classes nor numbers")
    return Verdict("drift", _worst(states), "; ".join(reasons))


def _agreement(gate: DriftGate, evidence: Evidence | None, confidence: float) -> Verdict:
    rows = evidence.compared.rows if evidence is not None else 0
    if evidence is None or rows < gate.rows:
        reason = f"{rows} rows were compared; {gate.rows} are needed"
        return Verdict("agreement", State.UNKNOWN, reason)
    z = statistics.deviations(rows, confidence)
    found = intervals.share(evidence.compared.agreeing, rows, z)
    reason = (
        f"{_percent(found.value)} of {rows} rows are predicted alike, {_percent(found.lower)} to "
        f"{_percent(found.upper)}; needed are {_percent(gate.agreement)}"
    )
    if found.upper < gate.agreement:
        return Verdict("agreement", State.ALARM, reason)
    holds = found.lower >= gate.agreement
    return Verdict("agreement", State.HOLDS if holds else State.UNKNOWN, reason)


def _business(
    name: str, gate: BusinessGate, new: Measure | None, old: Measure | None
) -> Iterator[Verdict]:
    if new is None or not math.isfinite(new.value):
        yield Verdict(name, State.UNKNOWN, "there is no number for the new version")
        return
    low = new.value if new.lower is None else new.lower
    high = new.value if new.upper is None else new.upper
    shown = f"{new.value:.4g} ({low:.4g} to {high:.4g})"
    if gate.at_least is not None:
        reason = f"{shown}, at least {gate.at_least:.4g}"
        yield Verdict(name, _beyond(gate.at_least - high, gate.at_least - low), reason)
    if gate.at_most is not None:
        reason = f"{shown}, at most {gate.at_most:.4g}"
        yield Verdict(name, _beyond(low - gate.at_most, high - gate.at_most), reason)
    if gate.tolerance is None and (gate.at_least is not None or gate.at_most is not None):
        return
    if old is None or not math.isfinite(old.value):
        yield Verdict(name, State.UNKNOWN, "there is no number for what serves")
        return
    apart = _worse_by(gate, new, old)
    if apart is None:
        reason = "what is noise is not known: neither intervals nor a tolerance"
        yield Verdict(name, State.UNKNOWN, reason)
        return
    tolerance = gate.tolerance or 0.0
    reason = (
        f"{new.value:.4g}, what serves has {old.value:.4g}: worse by {apart.lower:.4g} to "
        f"{apart.upper:.4g}, allowed are {tolerance:.4g}"
    )
    yield Verdict(name, _beyond(apart.lower - tolerance, apart.upper - tolerance), reason)


def _worse_by(gate: BusinessGate, new: Measure, old: Measure) -> Bounds | None:
    known = [_bounds_of(new), _bounds_of(old)]
    if gate.tolerance is None and None in known:
        return None
    one = known[0] or Bounds(new.value, new.value, new.value)
    other = known[1] or Bounds(old.value, old.value, old.value)
    return (
        intervals.difference(one, other)
        if gate.lower_is_better
        else intervals.difference(other, one)
    )


def _bounds_of(measure: Measure) -> Bounds | None:
    if measure.lower is None or measure.upper is None:
        return None
    return Bounds(measure.value, measure.lower, measure.upper)


def _beyond(least: float, most: float) -> State:
    """Return what bounds of how far something is beyond what is allowed say."""
    if least > 0:
        return State.ALARM
    return State.HOLDS if most <= 0 else State.UNKNOWN


def _worst(states: list[State]) -> State:
    for state in (State.ALARM, State.UNKNOWN):
        if state in states:
            return state
    return State.HOLDS


def alarms(verdicts: tuple[Verdict, ...]) -> tuple[Verdict, ...]:
    """Return those that are alarms."""
    return tuple(verdict for verdict in verdicts if verdict.state is State.ALARM)


def unknown(verdicts: tuple[Verdict, ...]) -> tuple[Verdict, ...]:
    """Return those that nobody knows yet."""
    return tuple(verdict for verdict in verdicts if verdict.state is State.UNKNOWN)


def _percent(value: float) -> str:
    return f"{value * 100:.3g} %"


def _milliseconds(value: float) -> str:
    return f"{value * 1000:.3g} ms"


def told(verdicts: Any) -> str:
    """Return verdicts in one line."""
    return "; ".join(f"{verdict.gate}: {verdict.reason}" for verdict in verdicts)
