"""Releases of a small project to a target that serves nothing, in this process or in others."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from penstock import registry
from penstock.metadata.leases import held
from penstock.metadata.store import connect, connection_config
from penstock.operations.releases import beginning, records
from penstock.operations.releases.controlling import Controller, Look, look
from penstock.operations.releases.records import Release
from penstock.operations.releases.stages import Plan, plan_of
from penstock.operations.releases.steps import OnStep, ReleaseStep, ignore
from penstock.project.config import Config, read_config
from penstock.project.deployments import Deployment
from penstock.serving.evidence import Answers, Comparison, Evidence
from penstock.serving.routes import CANARY, PRODUCTION, SHADOW
from penstock.serving.sketches import bin_of
from penstock.testing import FakeTarget, KillAt
from penstock_support.histories import History
from penstock_support.processes import Family
from penstock_support.registered import trained

MODEL = "m"
STAGES = plan_of(100, 600, (5, 50), 300, key="", give_up_seconds=86400)
HOUR = timedelta(hours=1)

CONFIG = """
[profiles.default]
pipeline_root = "root"
metadata = "metadata.sqlite"
[deployments.m]
{table}
"""


def write(
    folder: Path, table: str = "", versions: int = 2, blessed: tuple[bool, ...] = (True, True, True)
) -> Config:
    """Write a project with versions of a model, of which the first serves as champion."""
    path = folder / "penstock.toml"
    path.write_text(CONFIG.format(table=table))
    config = read_config(path)
    with connect(connection_config(config.profile().metadata_address())) as metadata:
        history = History(metadata.store, folder / "root")
        for number in range(1, versions + 1):
            artifact = trained(history, f"run-{number}", span=number, blessed=blessed[number - 1])
            registry.register(metadata.store, MODEL, artifact, who="ann")
        registry.move_alias(metadata.store, MODEL, "champion", 1, who="ann")
        registry.move_alias(metadata.store, MODEL, "challenger", 2, who="ann")
    target_in(folder).serve(1)
    return config


def target_in(folder: Path) -> FakeTarget:
    return FakeTarget(folder / "target")


def deployment_in(folder: Path) -> Deployment:
    return read_config(folder / "penstock.toml").deployments[MODEL]


def controller_in(
    folder: Path, *, at: datetime | None = None, on_step: OnStep = ignore, target: Any = None
) -> Controller:
    """Return what carries releases out, whose clock stands."""
    config = read_config(folder / "penstock.toml")
    now = at or datetime.now(UTC)
    return Controller(
        config.deployments[MODEL],
        target or target_in(folder),
        connection_config(config.profile().metadata_address()),
        folder,
        str(folder / "root"),
        "controller",
        on_step=on_step,
        now=lambda: now,
    )


def start(folder: Path, plan: Plan = STAGES, **options: Any) -> Release:
    config = read_config(folder / "penstock.toml")
    deployment = config.deployments[MODEL]
    with connect(connection_config(config.profile().metadata_address())) as metadata:
        return beginning.start(
            metadata.store,
            deployment,
            beginning.environment_of(config, deployment),
            options.get("target") or target_in(folder),
            options.get("reference", "challenger"),
            plan,
            who="ann",
            why="it is better",
        )


def roll_back(folder: Path, why: str = "complaints") -> Release:
    config = read_config(folder / "penstock.toml")
    deployment = config.deployments[MODEL]
    environment = beginning.environment_of(config, deployment)
    with connect(connection_config(config.profile().metadata_address())) as metadata:
        return beginning.roll_back(metadata.store, deployment, environment, who="bob", why=why)


def ask(folder: Path, kind: str, why: str = "") -> Release:
    controller = controller_in(folder)
    with connect(controller.connection) as metadata:
        return beginning.ask(metadata.store, controller.deployment, kind, who="bob", why=why)


def looked(folder: Path, at: datetime | None = None, **options: Any) -> Look:
    """Look at the release once; what can be done at that time is done."""
    controller = controller_in(folder, at=at, **options)
    with (
        connect(controller.connection) as metadata,
        held(metadata.store, controller.connection, controller.lease_name) as lease,
    ):
        controller.on_step(ReleaseStep.HELD, MODEL)
        return look(controller, metadata.store, lease)


def brought_to_its_end(folder: Path, looks: int = 8, **options: Any) -> Release:
    """Look again and again, with an hour between."""
    now = datetime.now(UTC)
    for number in range(looks):
        came = looked(folder, now + number * HOUR, **options)
        if came.release.is_over:
            return came.release
    raise AssertionError(f"it waits for {came.waits_for}")


def last(folder: Path) -> Release:
    controller = controller_in(folder)
    with connect(controller.connection) as metadata:
        release = records.last_release(metadata.store, MODEL)
    assert release is not None
    return release


def aliases(folder: Path) -> Mapping[str, int]:
    with connect(controller_in(folder).connection) as metadata:
        return registry.read_model(metadata.store, MODEL).aliases


def moves(folder: Path, alias: str = "champion") -> list[Any]:
    with connect(controller_in(folder).connection) as metadata:
        model = registry.read_model(metadata.store, MODEL)
    return [move for move in model.moves if move.alias == alias]


def answers(
    requests: int = 20_000, *, errors: int = 0, seconds: float = 0.01, turned: bool = False
) -> Answers:
    """Return what a version answered: latencies around some seconds, and two classes."""
    spread = {bin_of(seconds * (0.8 + 0.01 * step)): requests // 40 for step in range(40)}
    shares = (3, 1) if not turned else (1, 3)
    quarter = requests // 4
    return Answers(
        requests=requests,
        rows=requests,
        errors=errors,
        latency=spread,
        work=spread,
        scores={bin_of(0.2): shares[0] * quarter, bin_of(0.8): shares[1] * quarter},
        classes={"no": shares[0] * quarter, "yes": shares[1] * quarter},
        cpu_seconds=2.0,
        memory_bytes=50_000_000,
    )


def seen(new: Answers | None = None, old: Answers | None = None) -> dict[str, Answers]:
    """Return what was seen of the roles, the new version in both that it may have."""
    new = new or answers()
    return {PRODUCTION: old or answers(), CANARY: new, SHADOW: new}


def evidence(new: Answers | None = None, old: Answers | None = None, token: str = "") -> Evidence:
    return Evidence(token, 60.0, seen(new, old), Comparison(rows=1000, agreeing=990))


def killed_at(folder: Path, step: ReleaseStep, time: int = 1, looks: int = 8) -> bool:
    """Carry the release out in a process that is killed at a step; return whether it got there."""
    told = {"folder": str(folder), "step": step.name, "time": time, "looks": looks}
    process = Family(__file__, (json.dumps(told),)).start()
    _, said = process.communicate(timeout=120)
    assert process.returncode in (0, -9), said
    return process.returncode == -9


def main() -> None:
    told = json.loads(sys.argv[1])
    kill = KillAt(ReleaseStep[told["step"]], MODEL, time=told["time"])
    folder = Path(told["folder"])
    brought_to_its_end(folder, told["looks"], on_step=kill)


def with_shares(plan: Plan, *shares: float) -> Plan:
    """Return a plan of a canary alone."""
    stages = plan_of(0, 0, shares, 300, key="", give_up_seconds=plan.give_up_seconds).stages
    return replace(plan, stages=stages)


if __name__ == "__main__":
    main()
