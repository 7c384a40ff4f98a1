"""Good and bad versions are released over a real server, while callers ask it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from penstock_support import served_releases as project
from penstock_support.prediction_server import PredictionServer, wait_for
from penstock_support.served_releases import Load, champion, penstock, status

pytestmark = pytest.mark.needs("sklearn", "skops", "uvloop")

SHADOW = ("--shadow", "100%", "--for", "1s")
CANARY = ("--canary", "20,50", "--bake", "1s")


@pytest.fixture
def serve() -> Iterator[Callable[[Path], PredictionServer]]:
    servers: list[PredictionServer] = []

    def begin(folder: Path) -> PredictionServer:
        servers.append(project.serve(folder))
        return servers[-1]

    yield begin
    for server in servers:
        if server.process.poll() is None:
            server.end()


def start(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    return penstock(folder, "release", "start", "people@challenger", "--every", "1s", *arguments)


def test_a_good_version_comes_to_serve_and_goes_back_and_nobody_is_answered_badly(tmp_path, serve):
    project.write(tmp_path, "good")
    server = serve(tmp_path)
    with Load(server.url) as load:
        came = start(tmp_path, *SHADOW, *CANARY, "--why", "more rows")
        assert came.returncode == 0, came.stdout + came.stderr
        assert champion(tmp_path) == 2
        wait_for(lambda: server.administer("GET", "people")[1]["routes"]["production"] == 2, server)
        back = penstock(tmp_path, "rollback", "people", "--why", "complaints")
        assert back.returncode == 0, back.stdout + back.stderr
    assert champion(tmp_path) == 1
    assert set(load.statuses) == {200}
    assert load.versions[2] > 100
    routes = server.administer("GET", "people")[1]
    assert (routes["routes"]["production"], list(routes["versions"])) == (1, ["1"])
    told = json.loads(penstock(tmp_path, "release", "history", "people", "--json").stdout)
    assert [one["state"] for one in told] == ["brought back", "promoted"]
    assert [one["why"] for one in told] == ["complaints", "more rows"]


@pytest.mark.parametrize(
    ("candidate", "gate"),
    [("other columns", "errors"), ("slow", "latency"), ("drifting", "drift")],
)
def test_a_bad_version_touches_no_caller_from_the_shadow(tmp_path, serve, candidate, gate):
    project.write(tmp_path, candidate)
    server = serve(tmp_path)
    with Load(server.url) as load:
        came = start(tmp_path, "--shadow", "100%", "--for", "1h", *CANARY)
    assert came.returncode == 1, came.stdout + came.stderr
    told = status(tmp_path)
    assert told["state"] == "rolled back"
    assert gate in told["reason"]
    assert (set(load.statuses), set(load.versions)) == ({200}, {1})
    assert champion(tmp_path) == 1
    assert list(server.administer("GET", "people")[1]["versions"]) == ["1"]
    report = next(s for s in told["steps"] if s["kind"] == "report")["outcome"]
    assert report["verdict"] == "alarm"
    assert "<svg" in Path(report["uri"], "report.html").read_text()


def test_a_bad_canary_is_rolled_back_within_a_baking_interval(tmp_path, serve):
    project.write(tmp_path, "other columns")
    server = serve(tmp_path)
    with Load(server.url) as load:
        began = time.monotonic()
        came = start(tmp_path, "--canary", "20", "--bake", "1m")
        took = time.monotonic() - began
    assert came.returncode == 1, came.stdout + came.stderr
    assert took < 60
    assert status(tmp_path)["state"] == "rolled back"
    assert load.statuses[400] < load.statuses[200]
    assert server.administer("GET", "people")[1]["routes"]["production"] == 1


def test_who_was_answered_by_the_canary_still_is_when_its_share_grows(tmp_path, serve):
    project.write(tmp_path, "good")
    server = serve(tmp_path)
    with Load(server.url) as load:
        came = start(tmp_path, *CANARY, "--key", "header:x-user")
        assert came.returncode == 0, came.stdout + came.stderr
    assert load.statuses.keys() == {200}
    changes = [sum(a != b for a, b in pairwise(versions)) for versions in load.callers.values()]
    assert max(changes) == 1


def test_a_watcher_that_is_killed_is_followed_by_the_next(tmp_path, serve):
    project.write(tmp_path, "good")
    server = serve(tmp_path)
    with Load(server.url) as load:
        started = start(tmp_path, *SHADOW, *CANARY, "--detach")
        assert started.returncode == 0, started.stderr
        command = [sys.executable, "-m", "penstock", "release", "watch", "people", "--every", "1s"]
        first = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL)
        wait_for(lambda: server.administer("GET", "people")[1]["routes"]["shadow"], server)
        refused = penstock(tmp_path, "release", "watch", "people")
        assert refused.returncode == 2
        assert "releases of people is being run by process" in refused.stderr
        first.send_signal(signal.SIGKILL)
        first.wait(timeout=30)
        came = penstock(tmp_path, "release", "watch", "people", "--every", "1s")
    assert came.returncode == 0, came.stdout + came.stderr
    assert champion(tmp_path) == 2
    assert set(load.statuses) == {200}


def test_a_server_that_ends_and_comes_back_is_waited_for(tmp_path, serve):
    project.write(tmp_path, "good")
    server = serve(tmp_path)
    start(tmp_path, *CANARY, "--detach")
    command = [sys.executable, "-m", "penstock", "release", "watch", "people", "--every", "1s"]
    watcher = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL)
    wait_for(lambda: server.administer("GET", "people")[1]["routes"]["canary"], server)
    server.end(signal.SIGKILL)
    again = serve(tmp_path)
    with Load(again.url):
        assert watcher.wait(timeout=120) == 0
    assert champion(tmp_path) == 2


def test_a_server_without_a_champion_gets_its_first_version(tmp_path, serve):
    project.write(tmp_path, "good")
    removed = penstock(tmp_path, "model", "alias", "people", "champion", "--remove")
    assert removed.returncode == 0, removed.stderr
    server = serve(tmp_path)
    came = start(tmp_path)
    assert came.returncode == 0, came.stdout + came.stderr
    server.wait_until_ready()
    assert champion(tmp_path) == 2
    assert server.post("/predict/people", {"age": 70, "income": 1.0})[1]["prediction"] == "stays"


def test_a_canary_whose_process_dies_is_rolled_back_and_others_are_not_touched(tmp_path, serve):
    project.write(tmp_path, "good")
    server = serve(tmp_path)
    with Load(server.url) as load:
        before = set(server.workers())
        assert start(tmp_path, *CANARY, "--detach").returncode == 0
        command = [sys.executable, "-m", "penstock", "release", "watch", "people", "--every", "1s"]
        watcher = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL)
        wait_for(lambda: server.administer("GET", "people")[1]["routes"]["canary"], server)
        for process in set(server.workers()) - before:
            os.kill(process, signal.SIGKILL)
        # That it could not answer counts, though production has answered in its place.
        assert watcher.wait(timeout=120) == 1
    assert (status(tmp_path)["state"], champion(tmp_path)) == ("rolled back", 1)
    assert load.statuses[200] > 100 * sum(n for s, n in load.statuses.items() if s != 200)
