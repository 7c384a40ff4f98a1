"""From the report of a monitor to alerts: what it says is noted, decided on, and carried out.

What was decided about the alerts of a name is the numbered journal `incident/{name}`. An entry has
what is done, and the incidents as they are then; it is written after the one that it was decided
on, so of two who judge at the same moment one is told, and decides anew. Whoever comes carries out
what is recorded and not confirmed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from penstock.metadata import journal
from penstock.metadata.alerts import (
    Addition,
    Alert,
    End,
    add_to_alert,
    find_end,
    raise_alert,
    resolve_alert,
)
from penstock.metadata.protocol import Store
from penstock.monitoring.measures import Measure, Window, WindowReport
from penstock.operations.alerts.deciding import (
    Action,
    Add,
    Incident,
    Judged,
    Resolve,
    Ring,
    decide,
)
from penstock.operations.alerts.steps import JudgingStep, OnStep, ignore
from penstock.operations.alerts.windows import (
    judged_windows,
    measure_as_json,
    note_window,
)
from penstock.project.alerting import AlertRule, complete_rules

INCIDENTS = "incident"

# So many windows before those in question are looked at, and so many incidents are remembered.
_WINDOWS_BEFORE = 1000
_MOST_INCIDENTS = 100
# An alert has so many measures of its own; all of them are in the report.
_MOST_MEASURES = 100
_NAMED = 3


def judge(
    store: Store,
    monitor: str,
    rules: Mapping[str, AlertRule],
    report: WindowReport,
    now: datetime,
    *,
    who: str,
    data: Mapping[str, Any] | None = None,
    on_step: OnStep = ignore,
) -> dict[str, tuple[Action, ...]]:
    """Note what a window says, and raise, add to and resolve the alerts that follow from it.

    Return what was done by the names of alerts, as `flights.drift`. Kinds that the report has no
    measures of stay as they are. `data` is what an alert says beside its measures, as where the
    report is. Judging the same once more does nothing.

    Raises:
      ParameterError: a rule is of a kind that there is not.
    """
    complete = complete_rules(rules)
    done = {}
    for kind, measures in _by_kind(report.measures).items():
        judged = Judged.of(report.window, measures)
        note_window(store, monitor, kind, judged, now, who=who)
        name = f"{monitor}.{kind}"
        on_step(JudgingStep.JUDGED, name)
        case = _Case(store, monitor, kind, complete[kind], now, who, data or {}, on_step)
        if actions := case.settle(report.window):
            done[name] = actions
    return done


@dataclass(frozen=True)
class _Case:
    """The alerts of one name, about which is decided now."""

    store: Store
    monitor: str
    kind: str
    rule: AlertRule
    now: datetime
    who: str
    data: Mapping[str, Any]
    on_step: OnStep

    @property
    def name(self) -> str:
        return f"{self.monitor}.{self.kind}"

    @property
    def incidents(self) -> str:
        return f"{INCIDENTS}/{self.name}"

    def settle(self, window: Window) -> tuple[Action, ...]:
        """Carry out what follows from the windows around one, and return what was decided."""
        while True:
            last = journal.last(self.store, self.incidents)
            if last is not None and last.state == journal.INTENDED:
                self._carry_out(last)
            rung = self._rung(last)
            windows = judged_windows(self.store, self.monitor, self.kind, _since(window, rung))
            actions = decide(self.rule, windows, rung, self.now)
            if not actions:
                return ()
            content = {
                "actions": [self._as_json(action) for action in actions],
                "incidents": _remembered(rung, actions),
            }
            try:
                entry = journal.append(
                    self.store,
                    self.incidents,
                    content,
                    after=last,
                    who=self.who,
                    state=journal.INTENDED,
                )
            except journal.TakenError:
                continue
            self.on_step(JudgingStep.DECIDED, self.name)
            self._carry_out(entry)
            return actions

    def _rung(self, last: journal.Entry | None) -> list[Incident]:
        """Return the incidents as they are, also where somebody has said that one is over."""
        known = [] if last is None else journal.understood(last, incidents_of)
        return [self._as_people_say(incident) for incident in known]

    def _as_people_say(self, incident: Incident) -> Incident:
        end = find_end(self.store, self.name, incident.key) if incident.is_open else None
        if end is None:
            return incident
        return replace(incident, end=max(end.at, incident.first.begin))

    def _carry_out(self, entry: journal.Entry) -> None:
        for action in entry.intent["actions"]:
            _do(self.store, self.name, action, entry.who)
            self.on_step(JudgingStep.CHANGED, self.name)
        journal.conclude(self.store, entry, journal.DONE, {})
        self.on_step(JudgingStep.CONFIRMED, self.name)

    def _as_json(self, action: Action) -> dict[str, Any]:
        at = {"at": action.at.isoformat()}
        if isinstance(action, Resolve):
            return {"do": "resolve", "key": action.key, "why": action.why, **at}
        if isinstance(action, Add):
            told = _measures_as_json(action.measures)
            subjects = list(action.subjects)
            return {"do": "add", "key": action.key, "subjects": subjects, **told, **at}
        return {
            "do": "ring",
            "key": action.incident.key,
            "severity": self.rule.severity,
            "summary": _summary(self.kind, action.incident),
            "is_over": not action.incident.is_open,
            "data": self._data_of(action.incident),
            **at,
        }

    def _data_of(self, incident: Incident) -> dict[str, Any]:
        sinks = {} if self.rule.sinks is None else {"sinks": list(self.rule.sinks)}
        who = {"who": self.rule.who} if self.rule.who else {}
        return {
            **self.data,
            "monitor": self.monitor,
            "kind": self.kind,
            "window": incident.first.to_json(),
            "subjects": list(incident.subjects),
            **_measures_as_json(incident.measures),
            **who,
            **sinks,
        }


def _do(store: Store, name: str, action: Mapping[str, Any], who: str) -> None:
    """Do what was decided, or see that it is done."""
    key, at = action["key"], datetime.fromisoformat(action["at"])
    if action["do"] == "add":
        addition = Addition(at, tuple(action["subjects"]), tuple(action["measures"]))
        add_to_alert(store, name, key, addition)
    elif action["do"] == "resolve":
        resolve_alert(store, name, key, End(at, who, action["why"]))
    else:
        alert = Alert(name, key, action["summary"], at, action["severity"], action["data"])
        end = End(at, who, "it was over when it was found") if action["is_over"] else None
        raise_alert(store, alert, who=who, end=end)


def _by_kind(measures: Iterable[Measure]) -> dict[str, list[Measure]]:
    by_kind: dict[str, list[Measure]] = {}
    for measure in measures:
        by_kind.setdefault(measure.kind, []).append(measure)
    return by_kind


def _since(window: Window, rung: Sequence[Incident]) -> datetime:
    """Return from when on windows count for what one may change."""
    begins = [i.first.begin for i in rung if i.end is None or i.end > window.begin]
    since = min([window.begin, *begins]) - _WINDOWS_BEFORE * _length(window)
    if len(rung) >= _MOST_INCIDENTS:
        return max(since, min(incident.first.begin for incident in rung))
    return since


def _length(window: Window) -> timedelta:
    return window.end - window.begin


def _remembered(rung: Sequence[Incident], actions: Iterable[Action]) -> list[dict[str, Any]]:
    """Return the incidents as they are when the actions are carried out, the newest of them."""
    known = {incident.key: incident for incident in rung}
    for action in actions:
        if isinstance(action, Ring):
            known[action.incident.key] = action.incident
        elif isinstance(action, Add):
            subjects = (*known[action.key].subjects, *action.subjects)
            known[action.key] = replace(known[action.key], subjects=subjects)
        else:
            known[action.key] = replace(known[action.key], end=action.end)
    ordered = sorted(known.values(), key=lambda each: (not each.is_open, each.first.begin))
    still_open = [incident for incident in ordered if incident.is_open]
    over = [incident for incident in ordered if not incident.is_open]
    return [_incident_as_json(each) for each in (*over[-_MOST_INCIDENTS:], *still_open)]


def _incident_as_json(incident: Incident) -> dict[str, Any]:
    return {
        "key": incident.key,
        "first": incident.first.to_json(),
        # Of one that is over nobody asks.
        "subjects": list(incident.subjects) if incident.is_open else [],
        "end": None if incident.end is None else incident.end.isoformat(),
    }


def incidents_of(entry: journal.Entry) -> list[Incident]:
    """Return the incidents that an entry says there were."""
    return [_incident(known) for known in entry.intent["incidents"]]


def _incident(known: Mapping[str, Any]) -> Incident:
    end = known["end"]
    return Incident(
        Window.from_json(known["first"]),
        tuple(known["subjects"]),
        None if end is None else datetime.fromisoformat(end),
        key=known["key"],
    )


def _measures_as_json(measures: Sequence[Measure]) -> dict[str, Any]:
    kept = [measure_as_json(measure) for measure in measures[:_MOST_MEASURES]]
    left_out = len(measures) - len(kept)
    return {"measures": kept, **({"measures_left_out": left_out} if left_out else {})}


def _summary(kind: str, incident: Incident) -> str:
    named = ", ".join(incident.subjects[:_NAMED])
    more = len(incident.subjects) - _NAMED
    subjects = f"{named} and {more} more" if more > 0 else named
    first = incident.measures[0]
    why = first.why or ("" if first.value is None else f"{first.name} is {first.value:.4g}")
    return f"{kind} of {subjects}" + (f": {why}" if why else "")
