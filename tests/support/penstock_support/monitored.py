"""Monitors of a small project, whose runs measure at once what a file says."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from penstock import Output, component, pipeline
from penstock.artifacts import MonitorReport
from penstock.metadata.store import connect
from penstock.monitoring.measures import ALARM, DRIFT, FINE, Measure, WindowReport, write_report
from penstock.monitoring.windows import window_of_spans
from penstock.operations.alarm import Alarm
from penstock.operations.monitors.judging import Monitored, Round
from penstock.operations.monitors.records import Judgement, last_judgements
from penstock.operations.monitors.steps import MonitorStep, OnStep, ignore
from penstock.operations.starting import Request, RunState, Started
from penstock.project.config import Config, read_config
from penstock.runners.local import LocalRunner
from penstock.testing import FakeStarter, KillAt, Silent
from penstock_support.processes import Family

# Long after the spans that tests write.
NOW = datetime(1970, 2, 1, tzinfo=UTC)
CONFIG = """
[profiles.default]
pipeline_root = "root"
metadata = "metadata.sqlite"
[monitors.people]
log = "log/people"
{table}
"""


@component
def Measured(report: Output[MonitorReport], folder: str, first_span: int, last_span: int) -> None:
    """Measure what `measured.json` says of the first span: an alarm, rows that wait, an error."""
    told = json.loads(Path(folder, "measured.json").read_text()).get(str(first_span), {})
    if "error" in told:
        raise ValueError(told["error"])
    state = ALARM if told.get("alarm") else FINE
    measures = (Measure(DRIFT, "age", "js", 0.5 if told.get("alarm") else 0.0, state),)
    window = window_of_spans(first_span, last_span, "day")
    facts = {"waiting": told.get("waiting", 0)}
    write_report(report.uri, WindowReport(window, 10, {"3": 10}, measures, facts=facts))


@pipeline(name="monitor-people")
def measuring(folder: str, first_span: int, last_span: int) -> list[Any]:
    """Measure a window."""
    return [Measured(folder=folder, first_span=first_span, last_span=last_span)]


@dataclass(frozen=True)
class MeasuringStarter:
    """Starts runs that are over when they are started; what was asked of it is kept in a folder."""

    folder: Path

    @property
    def asked(self) -> FakeStarter:
        return FakeStarter(self.folder / "started")

    def start(self, request: Request, token: str) -> Started:
        self.asked.start(request, token)
        there = self.read(request, token)
        if there is not None and there.state.final:
            return there
        runner = LocalRunner(
            pipeline_root=str(self.folder / "root"),
            metadata=str(self.folder / "metadata.sqlite"),
            display=Silent(),
        )
        parameters = {**request.parameters, "folder": str(self.folder)}
        result = runner.run(
            measuring, parameters=parameters, run_id=token, raise_on_failure=False, cache=False
        )
        failed = [node.error for node in result.nodes.values() if node.error]
        state = RunState.FAILED if failed else RunState.SUCCEEDED
        self.asked.end(token, state, str(failed[0]) if failed else "")
        return self.asked.start(request, token)

    def read(self, request: Request, token: str) -> Started | None:
        return self.asked.read(request, token)

    def cancel(self, request: Request, token: str) -> None:
        self.asked.cancel(request, token)


def write(folder: Path, table: str = "") -> Config:
    """Write a project with a monitor `people` into a folder."""
    path = folder / "penstock.toml"
    path.write_text(CONFIG.format(table=table))
    (folder / "measured.json").write_text("{}")
    return read_config(path)


def log(folder: Path, *spans: int, part: str = "a") -> None:
    """Log a row in each of some days."""
    for span in spans:
        path = folder / "log" / "people" / f"day-{span}" / f"part-{part}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table({"age": [1]}), path)


def measure(folder: Path, **told: Any) -> None:
    """Say what is measured of days, as day_3={"alarm": True}."""
    content = {name.removeprefix("day_"): value for name, value in told.items()}
    (folder / "measured.json").write_text(json.dumps(content))


def monitored(folder: Path, on_step: OnStep = ignore) -> Monitored:
    config = read_config(folder / "penstock.toml")
    return Monitored(
        config.monitors["people"], config, MeasuringStarter(folder), on_step, who="ann"
    )


def run(folder: Path, now: datetime = NOW, on_step: OnStep = ignore, **options: Any) -> Round:
    return monitored(folder, on_step).run(now, Alarm(), **options)


def judgements(folder: Path) -> dict[int, Judgement]:
    """Return the last judgement of each window, by its first span."""
    one = monitored(folder)
    with connect(one.connection) as metadata:
        return {j.window.first: j for j in last_judgements(metadata.store, "people")}


def runs(folder: Path) -> list[int]:
    """Return the first spans of the runs that were started, in their order."""
    starter = MeasuringStarter(folder).asked
    return [starter.request(token).parameters["first_span"] for token in starter.started]


def killed_at(folder: Path, step: MonitorStep) -> bool:
    """Judge in a process that is killed at a step; return whether it got there."""
    process = Family(__file__, (str(folder), step.name)).start()
    _, said = process.communicate(timeout=120)
    assert process.returncode in (0, -9), said
    return process.returncode == -9


def judged_by(folder: Path, processes: int) -> None:
    """Judge in several processes at the same time."""
    started = [Family(__file__, (str(folder),)).start() for _ in range(processes)]
    for process in started:
        _, said = process.communicate(timeout=120)
        assert process.returncode == 0, said


def main() -> None:
    folder, *steps = sys.argv[1:]
    kills = [KillAt(MonitorStep[step], "people") for step in steps]
    run(Path(folder), on_step=kills[0] if kills else ignore)


if __name__ == "__main__":
    main()
