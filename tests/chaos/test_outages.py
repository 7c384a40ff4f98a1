"""Databases that are away for longer than anybody waits elsewhere, at each phase of a run."""

from __future__ import annotations

import pytest

from penstock.execution.steps import Step
from penstock_support import outages, servers
from penstock_support.resuming_components import OnlyHere, runner_in, runs_of, three

PHASES = {
    "before a registration": (Step.CLEANED, "First"),
    "while a node runs": (Step.REGISTERED, "Second"),
    "at a publication": (Step.REPORTED, "Second"),
}
START = {"mariadb": servers.mariadb_instance, "postgresql": servers.postgresql_instance}


@pytest.mark.parametrize("kill", [False, True], ids=["stopped", "killed"])
@pytest.mark.parametrize("seconds", [45, 120])
@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("kind", START)
def test_a_run_outlives_a_server_that_is_away_for_long(tmp_path, kind, phase, seconds, kill):
    with START[kind]() as instance:
        address = instance.server.address("outage")
        away = outages.stopped_at(*PHASES[phase], instance, seconds, kill=kill)
        runner = runner_in(tmp_path, metadata=address, on_step=OnlyHere(away))
        assert runner.run(three, parameters={"folder": str(tmp_path)}).succeeded
        assert outages.stored(address) == outages.COMPLETE
    assert [runs_of(tmp_path, name) for name in ("First", "Second", "Third")] == [1, 1, 1]


@pytest.mark.parametrize("kind", START)
def test_a_run_outlives_a_server_that_is_halted_for_long(tmp_path, kind):
    with START[kind]() as instance:
        address = instance.server.address("outage")
        away = outages.AwayAt(Step.REPORTED, "Second", instance.halt, instance.go_on, 150)
        runner = runner_in(tmp_path, metadata=address, on_step=OnlyHere(away))
        assert runner.run(three, parameters={"folder": str(tmp_path)}).succeeded
        assert outages.stored(address) == outages.COMPLETE
