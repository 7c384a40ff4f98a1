"""Reports of a monitor, judged in this process or in others that are killed."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

from penstock.metadata.store import connect, connection_config
from penstock.monitoring.measures import ALARM, FINE, UNKNOWN, Measure, Window, WindowReport
from penstock.operations.alerts.judging import judge
from penstock.operations.alerts.steps import JudgingStep
from penstock.testing import KillAt
from penstock_support.processes import Family

BEGIN = datetime(2026, 5, 4, tzinfo=UTC)
NOW = datetime(2026, 5, 5, tzinfo=UTC)
STATES = {"a": ALARM, "u": UNKNOWN, "f": FINE}


def window(number: int) -> Window:
    begin = BEGIN + timedelta(hours=number)
    return Window(begin, begin + timedelta(hours=1), number, number)


def report(number: int, kind: str = "drift", **states: str) -> WindowReport:
    """Return a report in which subjects are alarms (a), fine (f) or unknown (u)."""
    measures = tuple(
        Measure(kind, subject, "js", 0.21, STATES[state], threshold=0.1)
        for subject, state in states.items()
    )
    return WindowReport(window(number), 100, measures=measures)


def judge_series(store: Any, states: str, *, rules: Any = None, first: int = 0) -> None:
    """Judge windows in a row, by the states of one subject."""
    for number, state in enumerate(states, first):
        judge(store, "flights", rules or {}, report(number, x=state), NOW, who="monitor")


def killed_at(address: str, step: JudgingStep, states: str, time: int = 1) -> bool:
    """Judge windows in a process that is killed at a step; return whether it got there."""
    told = {"address": address, "step": step.name, "time": time, "states": states}
    process = Family(__file__, (json.dumps(told),)).start()
    _, said = process.communicate(timeout=60)
    assert process.returncode in (0, -9), said
    return process.returncode == -9


def main() -> None:
    told = json.loads(sys.argv[1])
    kill = KillAt(JudgingStep[told["step"]], "flights.drift", time=told["time"])
    with connect(connection_config(told["address"])) as metadata:
        for number, state in enumerate(told["states"]):
            seen = report(number, x=state, y=state)
            judge(metadata.store, "flights", {}, seen, NOW, who="monitor", on_step=kill)


if __name__ == "__main__":
    main()
