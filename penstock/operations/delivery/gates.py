"""Whether what was built may be promoted: decided on evidence alone.

Each gate holds, or is refused with what was expected and what came. What the evidence does not say
is refused.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from penstock.data.results.evaluation import OVERALL, SliceMetric
from penstock.project.environments import Environment, MetricGate

# So many slices that are worse are named one by one.
_NAMED_SLICES = 3


@dataclass(frozen=True)
class Judged:
    """A model with what was found of it: its metrics by slice, its signature, and more.

    `metrics` are its own, not differences to a baseline. `infra` says why it does not load and
    answer, "" that it does, None that nobody has tried.
    """

    name: str
    blessed: bool | None = None
    infra: str | None = None
    signature: Mapping[str, Any] | None = None
    metrics: tuple[SliceMetric, ...] = ()
    data: str = ""


@dataclass(frozen=True)
class Evidence:
    """What is known of a change when it is decided whether it may go on.

    `checks` are the checks of its fingerprint that did not pass, None where there is no record of
    any. `promoted` are the environments that have its fingerprint. `references` are the models that
    the new one is compared with, by alias; None where the alias stands for none yet, and without
    those that nobody would ever move. `deployed` is
    what the environment has now.
    """

    fingerprint: str
    checks: tuple[str, ...] | None = None
    promoted: frozenset[str] = frozenset()
    approved_by: str = ""
    model: Judged | None = None
    references: Mapping[str, Judged | None] = field(default_factory=dict)
    deployed: Judged | None = None
    signature_change: str = ""


@dataclass(frozen=True)
class Gate:
    """A gate and whether it holds; `reason` says why, with numbers."""

    name: str
    holds: bool
    reason: str


def before_building(environment: Environment, evidence: Evidence) -> list[Gate]:
    """Return the gates that are decided before anything is built or run."""
    gates = []
    if environment.checks:
        gates.append(_checks(evidence))
    for needed in environment.needs:
        there = needed in evidence.promoted
        reason = f"{needed} has it" if there else f"{needed} has not got this fingerprint"
        gates.append(Gate(f"needs {needed}", there, reason))
    if environment.approval:
        approved = evidence.approved_by
        reason = f"by {approved}" if approved else "nobody has approved this fingerprint"
        gates.append(Gate("approval", bool(approved), reason))
    return gates


def before_promoting(environment: Environment, evidence: Evidence) -> list[Gate]:
    """Return the gates on the model that the run has made."""
    model = evidence.model
    if model is None:
        return [Gate("model", False, "the run has made no model that could be judged")]
    gates = []
    if environment.blessing:
        reasons = {True: "it was blessed", False: "it was not blessed", None: "no blessing"}
        gates.append(Gate("blessing", model.blessed is True, reasons[model.blessed]))
    if environment.infra:
        gates.append(_infra(model))
    if environment.signature and evidence.deployed is not None:
        gates.append(_signature(model, evidence.deployed, evidence.signature_change))
    for metric, gate in environment.gates.items():
        gates += _metric_gates(metric, gate, model, evidence.references)
    return gates


def _checks(evidence: Evidence) -> Gate:
    if evidence.checks is None:
        return Gate("checks", False, "no record of penstock ci check for this fingerprint")
    if evidence.checks:
        return Gate("checks", False, f"did not pass: {', '.join(evidence.checks)}")
    return Gate("checks", True, "all passed")


def _infra(model: Judged) -> Gate:
    if model.infra is None:
        return Gate("infra", False, "nobody has seen that it loads and answers")
    reason = model.infra or "it loads and answers in a fresh process"
    return Gate("infra", not model.infra, reason)


def _signature(model: Judged, deployed: Judged, declared: str) -> Gate:
    if model.signature is None:
        return Gate("signature", False, "the model's files do not say what it takes and gives")
    if model.signature == deployed.signature:
        return Gate("signature", True, f"as that of {deployed.name}")
    changes = ", ".join(_signature_changes(deployed.signature or {}, model.signature))
    changes = changes or "its columns are in another order"
    if declared:
        return Gate("signature", True, f"changed, as declared ({declared}): {changes}")
    return Gate("signature", False, f"other than that of {deployed.name}: {changes}")


def _signature_changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    for side in ("inputs", "outputs"):
        old = {column["name"]: column for column in before.get(side, ())}
        new = {column["name"]: column for column in after.get(side, ())}
        for name in dict.fromkeys((*old, *new)):
            if name not in new:
                yield f"{side[:-1]} {name} is gone"
            elif name not in old:
                yield f"{side[:-1]} {name} is new"
            elif old[name] != new[name]:
                yield f"{side[:-1]} {name} was {_kind(old[name])} and is {_kind(new[name])}"


def _kind(column: Mapping[str, Any]) -> str:
    return " ".join(str(value) for key, value in sorted(column.items()) if key != "name")


def _metric_gates(
    metric: str, gate: MetricGate, model: Judged, references: Mapping[str, Judged | None]
) -> Iterator[Gate]:
    mine = _by_slice(model, metric)
    overall = mine.get(OVERALL)
    if overall is None or not math.isfinite(overall.value):
        known = sorted({m.metric for m in model.metrics})
        came = "it is not a number" if overall else f"there are {', '.join(known) or 'none'}"
        yield Gate(metric, False, f"the evaluation has no such metric: {came}")
        return
    if gate.at_least is not None:
        holds = overall.value >= gate.at_least
        yield Gate(metric, holds, f"{_shown(overall.value)}, at least {_shown(gate.at_least)}")
    if gate.at_most is not None:
        holds = overall.value <= gate.at_most
        yield Gate(metric, holds, f"{_shown(overall.value)}, at most {_shown(gate.at_most)}")
    if not gate.reference:
        return
    if gate.reference not in references:
        reason = f"it has no alias {gate.reference}, and no environment gives one of that name"
        yield Gate(metric, False, reason)
        return
    reference = references[gate.reference]
    if reference is None:
        yield Gate(metric, True, f"there is no {gate.reference} yet")
        return
    yield from _compared(metric, gate, model, reference)


def _compared(metric: str, gate: MetricGate, model: Judged, reference: Judged) -> Iterator[Gate]:
    mine, theirs = _by_slice(model, metric), _by_slice(reference, metric)
    name = f"{metric} beside {reference.name}"
    if OVERALL not in theirs or not math.isfinite(theirs[OVERALL].value):
        yield Gate(name, False, f"the evaluation of {reference.name} has no such metric")
        return
    noise = _noise(mine[OVERALL], theirs[OVERALL], gate)
    if noise is None:
        yield Gate(
            name,
            False,
            "how much of a difference is noise is not known: neither confidence intervals nor a "
            "tolerance",
        )
        return
    gain = _gain(mine[OVERALL], theirs[OVERALL], gate)
    holds = gain > noise if gate.better_than else gain >= -noise
    values = f"{_shown(mine[OVERALL].value)}, it has {_shown(theirs[OVERALL].value)}"
    other_rows = "" if model.data == reference.data else ", on other rows"
    yield Gate(name, holds, f"{values}{other_rows}; noise {_shown(noise)}")
    if gate.slices:
        yield _slices(name, gate, mine, theirs, reference.name)


def _slices(
    name: str,
    gate: MetricGate,
    mine: Mapping[str, SliceMetric],
    theirs: Mapping[str, SliceMetric],
    reference: str,
) -> Gate:
    worse, unknown, compared = [], [], 0
    for key, their in theirs.items():
        if key == OVERALL or not math.isfinite(their.value):
            continue
        if key not in mine or not math.isfinite(mine[key].value):
            unknown.append(f"{key} has no value")
            continue
        noise = _noise(mine[key], their, gate)
        if noise is None:
            unknown.append(f"{key}: nobody knows what is noise")
            continue
        compared += 1
        gain = _gain(mine[key], their, gate)
        if gain < -noise:
            worse.append((gain, f"{key} {_shown(their.value)} -> {_shown(mine[key].value)}"))
    if worse or unknown:
        texts = [text for _, text in sorted(worse)] + unknown
        more = len(texts) - _NAMED_SLICES
        told = "; ".join(texts[:_NAMED_SLICES]) + (f"; and {more} more" if more > 0 else "")
        return Gate(f"{name}, by slice", False, told)
    reason = f"{compared} no worse" if compared else f"{reference} was evaluated on no slice"
    return Gate(f"{name}, by slice", True, reason)


def _by_slice(model: Judged, metric: str) -> dict[str, SliceMetric]:
    return {m.slice: m for m in model.metrics if m.metric == metric}


def _gain(mine: SliceMetric, their: SliceMetric, gate: MetricGate) -> float:
    difference = mine.value - their.value
    return -difference if gate.lower_is_better else difference


def _noise(mine: SliceMetric, their: SliceMetric, gate: MetricGate) -> float | None:
    """Return what a difference of two estimates may be by chance, at 95 %.

    The half-widths of independent intervals add up as standard errors do.
    """
    widths = [_half_width(one) for one in (mine, their)]
    known = None if None in widths else math.hypot(*(w for w in widths if w is not None))
    if gate.tolerance is None:
        return known
    return max(gate.tolerance, known or 0.0)


def _half_width(metric: SliceMetric) -> float | None:
    if metric.lower is None or metric.upper is None:
        return None
    width = (metric.upper - metric.lower) / 2
    return width if math.isfinite(width) else None


def _shown(value: float) -> str:
    return f"{value:.4g}"
