"""Triggers of a small project, looked at in this process or in others that are killed."""

from __future__ import annotations

import json
import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from penstock.metadata.store import connect
from penstock.operations.triggers.checking import Round, Watched
from penstock.operations.triggers.records import Record
from penstock.operations.triggers.steps import OnStep, TriggerStep, ignore
from penstock.project.config import Config, read_config
from penstock.testing import FakeStarter, KillAt
from penstock_support.processes import Family

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
SPANS = 'when = { span = "data/span-{SPAN}" }\nparameters = { span = "{SPAN}" }'

CONFIG = """
[pipelines]
flights = "flights.py:flights"
[profiles.default]
pipeline_root = "root"
metadata = "{metadata}"
[profiles.other]
metadata = "other.sqlite"
[triggers.t]
run = "flights"
{table}
"""


def write(folder: Path, table: str = SPANS, metadata: str = "metadata.sqlite") -> Config:
    """Write a project with a trigger `t` into a folder."""
    path = folder / "penstock.toml"
    path.write_text(CONFIG.format(table=table, metadata=metadata))
    return read_config(path)


def starter_in(folder: Path, **options: Any) -> FakeStarter:
    return FakeStarter(folder / "started", **options)


def watched(
    folder: Path, *, on_step: OnStep = ignore, starter: Any = None, name: str = "t"
) -> Watched:
    config = read_config(folder / "penstock.toml")
    return Watched(name, config, starter or starter_in(folder), on_step)


def check(folder: Path, now: datetime = NOW, **options: Any) -> Round:
    """Look at the trigger once, without remembering anything of earlier looks."""
    return watched(folder, **options).check(now)


def records(folder: Path) -> dict[str, Record]:
    looking = watched(folder)
    with connect(looking.connection) as metadata:
        return {record.evidence.key: record for record in looking.records(metadata.store)}


def states(folder: Path) -> dict[str, str]:
    return {key: record.state for key, record in records(folder).items()}


def arrive(folder: Path, *spans: int, at: datetime = NOW - timedelta(minutes=5)) -> None:
    """Put spans of data into the project."""
    for span in spans:
        path = folder / "data" / f"span-{span}" / "rows.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"n\n{span}\n")
        os.utime(path, (at.timestamp(), at.timestamp()))


def trained(folder: Path) -> list[str]:
    """Return the spans for which runs were started, in their order."""
    starter = starter_in(folder)
    return [starter.request(token).parameters["span"] for token in starter.started]


def end_runs(folder: Path, state: Any = None) -> None:
    """Let all runs come to an end that are not over."""
    starter = starter_in(folder)
    for token, run in starter.runs().items():
        if not run.state.final:
            starter.end(token, *([state] if state else []))


def killed_at(folder: Path, step: TriggerStep, time: int = 1, **options: Any) -> bool:
    """Look at the trigger in a process that is killed at a step; return whether it got there."""
    told = {"folder": str(folder), "step": step.name, "time": time, **options}
    process = Family(__file__, (json.dumps(told),)).start()
    _, said = process.communicate(timeout=60)
    assert process.returncode in (0, -9), said
    return process.returncode == -9


def main() -> None:
    told = json.loads(sys.argv[1])
    folder = Path(told["folder"])
    kill = KillAt(TriggerStep[told["step"]], "t", time=told["time"])
    now = datetime.fromisoformat(told.get("now", NOW.isoformat()))
    check(folder, now, on_step=kill)


if __name__ == "__main__":
    main()
