"""At each step of a release over a real server somebody is killed: controller, server, workers.

In the end the release is over, one version serves, the alias stands for it, and callers were
answered by one of the two, or had an error while nobody was there to answer.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from penstock.operations.releases.steps import ReleaseStep
from penstock_support import release_chaos as chaos
from penstock_support import served_releases as project
from penstock_support.prediction_server import wait_for

pytestmark = pytest.mark.needs("sklearn", "skops", "uvloop")

# A good release with one stage of each kind: prepare, shadow, report, canary, all, alias, remove.
STEPS = 7
AT = [
    (step, time)
    for time in range(1, STEPS + 1)
    for step in (ReleaseStep.RECORDED, ReleaseStep.TAKEN, ReleaseStep.NOTED)
]


@pytest.mark.parametrize("whom", [chaos.CONTROLLER, chaos.SERVER, chaos.WORKERS])
@pytest.mark.parametrize(("step", "time"), AT, ids=lambda v: getattr(v, "name", str(v)))
def test_whoever_is_killed_one_version_serves_in_the_end(
    tmp_path: Path, step: ReleaseStep, time: int, whom: str
) -> None:
    project.write(tmp_path, "good")
    with chaos.supervised(tmp_path) as supervisor:
        stages = ("--shadow", "100%", "--for", "1s", "--canary", "50", "--bake", "1s")
        with project.Load(supervisor.server.url) as load:
            begun = project.penstock(
                tmp_path, "release", "start", "people@challenger", "--detach", *stages
            )
            assert begun.returncode == 0, begun.stdout + begun.stderr
            ended = chaos.carry_out(tmp_path, step.name, time, whom)
            assert (tmp_path / "state" / "killed").exists()
            assert ended == (-9 if whom == chaos.CONTROLLER else 0)
            if ended:
                assert chaos.carry_out(tmp_path, step.name, time, "") == 0
        told = json.loads(
            project.penstock(tmp_path, "release", "history", "people", "--json").stdout
        )
        [release] = told
        champion = project.champion(tmp_path)
        assert release["state"] in ("promoted", "rolled back", "failed")
        assert champion == (2 if release["state"] == "promoted" else 1)

        def served() -> bool:
            model = supervisor.server.administer("GET", "people")[1]
            routes = model["routes"]
            if routes is None:  # it has just started again
                return False
            alone = routes["canary"] is None and routes["shadow"] is None
            return alone and routes["production"] == champion

        wait_for(served, supervisor.server)
    assert load.versions[1] > 0
    assert set(load.versions) <= {0, 1, 2}
    if whom == chaos.CONTROLLER:
        assert set(load.statuses) == {200}
        assert release["state"] == "promoted"
    assert set(load.statuses) <= {200, 503, "lost"}
    assert load.statuses[200] > 10
