"""Outcomes of runs as alerts: what is said of them follows from runs, and from what was said.

An alert `PIPELINE.run` begins with a run that failed, whose id is its key. Runs that fail while it
is open are its further subjects, and the next run that succeeds ends it. A run of which it is to be
known that it succeeded is an alert `PIPELINE.success`, over from the beginning. Saying the same
once more changes nothing, so several may say it at once, and whoever comes after a crash says it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from penstock.metadata import journal
from penstock.metadata.alerts import (
    Addition,
    Alert,
    End,
    Raised,
    add_to_alert,
    raise_alert,
    raised_alerts,
    resolve_alert,
)
from penstock.metadata.protocol import Store
from penstock.metadata.runs import RunRecord, list_runs
from penstock.project.notifications import Notification
from penstock.project.user_code import CAME_BY

FAILED, CANCELED, SUCCEEDED = "failed", "canceled", "succeeded"

# So many of the newest runs of a store are looked at.
_NEWEST_RUNS = 100
_STATES = {"failed": FAILED, "abandoned": FAILED, "canceled": CANCELED, "done": SUCCEEDED}
_MOST_NODES = 20
_MOST_TEXT = 300


@dataclass(frozen=True)
class Outcome:
    """How a run has ended: failed, canceled or succeeded, and why by the nodes that failed."""

    run_id: str
    state: str
    ended: datetime
    failures: Mapping[str, str] = field(default_factory=dict)

    @property
    def summary(self) -> str:
        """What has become of the run, in a line."""
        shown = [f"{node}: {why}" if node else why for node, why in self.failures.items() if why]
        told = f": {shown[0]}" if shown else ""
        more = f" (and {len(shown) - 1} more)" if len(shown) > 1 else ""
        return f"run {self.run_id} {self.state}{told}{more}"


@dataclass(frozen=True)
class Begin:
    """An alert is raised."""

    alert: Alert
    end: End | None = None


@dataclass(frozen=True)
class Continue:
    """An alert is about another run, too."""

    key: str
    addition: Addition


@dataclass(frozen=True)
class Over:
    """An alert is over."""

    key: str
    end: End


Action = Begin | Continue | Over


def decide(
    rule: Notification,
    outcomes: Iterable[Outcome],
    said: Iterable[Raised],
    now: datetime,
    *,
    who: str = "penstock",
) -> Iterator[Action]:
    """Yield what is to be said of outcomes; `said` are the alerts that there are of the pipeline's.

    What was said of a run is not said again, but that it has succeeded after all.
    """
    known = list(said)
    told = {(r.alert.name, run) for r in known for run in (r.alert.key, *r.subjects)}
    still_open = {r.alert.key: _latest(r) for r in known if r.is_open}
    for outcome in sorted(outcomes, key=lambda each: each.ended):
        if outcome.state == SUCCEEDED:
            for key in [key for key, at in still_open.items() if at <= outcome.ended]:
                del still_open[key]
                yield Over(key, End(now, who, f"run {outcome.run_id} succeeded"))
            name = f"{rule.pipeline}.success"
            if rule.succeeded and (name, outcome.run_id) not in told:
                yield Begin(_alert(rule, name, rule.succeeded, outcome), End(now, who))
            continue
        name = f"{rule.pipeline}.run"
        severity = rule.failed if outcome.state == FAILED else rule.canceled
        if not severity or (name, outcome.run_id) in told:
            continue
        if still_open:
            key = next(iter(still_open))
            measures = tuple(_measures(outcome))
            yield Continue(key, Addition(outcome.ended, (outcome.run_id,), measures))
        else:
            key = outcome.run_id
            yield Begin(_alert(rule, name, severity, outcome))
        still_open[key] = outcome.ended


def say(
    store: Store,
    rules: Iterable[Notification],
    outcomes: Mapping[str, Sequence[Outcome]],
    now: datetime,
    *,
    who: str,
    of_now: str = "",
) -> None:
    """Raise, continue and end the alerts that follow from outcomes, by the pipelines' names.

    Those count that came since somebody asked for it first, and the run `of_now` that has just
    ended.
    """
    for rule in rules:
        since = journal.since(store, rule.pipeline, now, who=who, about="notifications")
        ended = [
            outcome
            for outcome in outcomes.get(rule.pipeline, ())
            if outcome.run_id == of_now or outcome.ended >= since
        ]
        if not ended:
            continue
        names = (f"{rule.pipeline}.run", f"{rule.pipeline}.success")
        said = [raised for name in names for raised in raised_alerts(store, name)]
        for action in decide(rule, ended, said, now, who=who):
            _carry_out(store, f"{rule.pipeline}.run", action, who)


def outcomes_in(
    store: Store, done_runs: MutableMapping[tuple[int, int], RunRecord] | None = None
) -> dict[str, list[Outcome]]:
    """Return how the newest runs of a store have ended, by pipelines; for `done_runs` see runs."""
    found: dict[str, list[Outcome]] = {}
    for run in list_runs(store, most=_NEWEST_RUNS, done_runs=done_runs):
        outcome = outcome_of(run)
        if outcome is not None:
            found.setdefault(run.pipeline_name, []).append(outcome)
    return found


def outcome_of(run: RunRecord) -> Outcome | None:
    """Return how a run has ended, None while it is under way."""
    state = _STATES.get(run.state)
    if state is None:
        return None
    failed = {node.node_id: node.error for node in run.nodes if node.state == "failed"}
    ended = [node.node_id for node in run.nodes if node.state in ("done", "cached")]
    failures = {node: _headline(why) for node, why in failed.items() if node not in ended}
    if run.state == "abandoned" and not failures:
        failures = {"": "the process that ran it ended without saying so"}
    return Outcome(run.run_id, state, run.ended.astimezone(UTC), failures)


def _carry_out(store: Store, name: str, action: Action, who: str) -> None:
    if isinstance(action, Begin):
        raise_alert(store, action.alert, who=who, end=action.end)
    elif isinstance(action, Continue):
        add_to_alert(store, name, action.key, action.addition)
    else:
        resolve_alert(store, name, action.key, action.end)


def _alert(rule: Notification, name: str, severity: str, outcome: Outcome) -> Alert:
    data: dict[str, Any] = {
        "pipeline": rule.pipeline,
        "run": outcome.run_id,
        "subjects": [outcome.run_id],
        "measures": _measures(outcome),
    }
    if rule.who:
        data["who"] = rule.who
    if rule.sinks is not None:
        data["sinks"] = list(rule.sinks)
    return Alert(name, outcome.run_id, outcome.summary, outcome.ended, severity, data)


def _measures(outcome: Outcome) -> list[dict[str, str]]:
    return [
        {"subject": outcome.run_id, "name": node, "why": why or outcome.state}
        for node, why in list(outcome.failures.items())[:_MOST_NODES]
    ]


def _latest(raised: Raised) -> datetime:
    """Return when the last of the runs that an alert is about has ended."""
    return max([raised.alert.at, *(addition.at for addition in raised.additions)])


def _headline(text: str) -> str:
    lines = text.partition(CAME_BY)[0].strip().splitlines()
    return lines[0][:_MOST_TEXT] if lines else ""
