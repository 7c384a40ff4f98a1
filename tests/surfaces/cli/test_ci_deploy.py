"""`penstock ci`, from a line that changes in git to what serves, and back."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from penstock import registry
from penstock.metadata.store import connect, connection_config
from penstock.project.config import read_config
from penstock.testing.kubeflow import FakePipelines, Play
from penstock_support import delivered_project
from penstock_support.delivered_project import GOOD
from penstock_support.git_projects import GitProject, git
from penstock_support.metadata_servers import serving
from penstock_support.pods_of_runs import Pods, cluster_tables


class Story:
    """A project in git with an environment on the strict server, and what its commands came to."""

    def __init__(self, folder: Path, server: FakePipelines, store: str) -> None:
        self.server, self.store = server, store
        folder.mkdir()
        delivered_project.write(folder, cluster_tables(server.host, store))
        (folder / ".gitignore").write_text(".penstock/\npods/\n__pycache__/\n")
        git(folder, "init", "--quiet", "--initial-branch", "main")
        self.project = GitProject(folder, folder)
        self.project.commit()
        self.pods = Pods(read_config(folder / "penstock.toml"), server)

    def call(self, *arguments: str) -> SimpleNamespace:
        """Run a command of `penstock ci`, and meanwhile the pods of what it starts."""
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "penstock", *arguments],
            cwd=self.project.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        while True:
            self.pods()
            try:
                output, errors = process.communicate(timeout=0.1)
                break
            except subprocess.TimeoutExpired:
                continue
        return SimpleNamespace(code=process.returncode, output=output, errors=errors)

    def ci(self, *arguments: str) -> SimpleNamespace:
        return self.call("ci", *arguments)

    def change(self, slices: dict[str, float]) -> None:
        """Change one line, and commit it."""
        delivered_project.set_quality(self.project.folder, slices)
        self.project.commit()

    def checked_and_deployed(self) -> SimpleNamespace:
        self.checked = self.ci("check", "flights")
        return self.ci("deploy", "--env", "cluster", "flights", "--who", "ann", "--json")

    def champion(self) -> int | None:
        with connect(connection_config(self.store)) as metadata:
            return registry.read_model(metadata.store, "flights").aliases.get("champion")

    def scheduled(self) -> list[str]:
        return [
            one["pipeline_version_reference"]["pipeline_version_id"]
            for one in self.server.recurring_runs
            if one["status"] == "ENABLED"
        ]


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    folder = tmp_path_factory.mktemp("story")
    with (
        serving(str(folder / "metadata.sqlite")) as metadata,
        FakePipelines(play=Play(hold=True)) as server,
    ):
        told = Story(folder / "project", server, f"grpc://localhost:{metadata.port}")
        told.unchecked = told.ci("deploy", "--env", "cluster", "flights")
        told.first = told.checked_and_deployed()
        told.first_schedule, told.first_champion = told.scheduled(), told.champion()
        told.project.git("checkout", "--quiet", "-b", "better")
        told.change({**GOOD, "JFK": 0.95})
        told.plan = told.ci("plan", "--base", "main", "--json")
        told.second = told.checked_and_deployed()
        told.second_schedule, told.second_champion = told.scheduled(), told.champion()
        (told.project.folder / "plan.json").write_text(told.plan.output)
        told.change({**GOOD, "LGA": 0.6})
        told.stale = told.ci("deploy", "--env", "cluster", "flights", "--plan", "plan.json")
        told.broken = told.checked_and_deployed()
        told.broken_champion = told.champion()
        told.rollback = told.ci("rollback", "--env", "cluster", "flights", "--why", "to be sure")
        told.last_schedule, told.last_champion = told.scheduled(), told.champion()
        told.history = json.loads(told.ci("history", "--env", "cluster", "--json").output)
        told.shown = told.ci("history").output
        yield told


def test_what_was_not_checked_is_refused(story):
    assert story.unchecked.code == 1
    assert "checks: no record of penstock ci check for this fingerprint" in story.unchecked.errors


def test_what_was_checked_reaches_promoted(story):
    [deployment] = json.loads(story.first.output)
    assert (deployment["state"], deployment["model_version"]) == ("done", 1)
    assert story.first_schedule == [deployment["pipeline_version"]["version_id"]]
    assert story.first_champion == 1


def test_one_line_is_planned_with_just_the_nodes_that_follow(story):
    pipeline = json.loads(story.plan.output)["pipelines"][0]
    changes = {node["node"]: node["change"] for node in pipeline["nodes"]}
    assert changes == {"Train": "changed", "Judge": "follows", "Push": "follows"}


def test_a_better_change_takes_its_place(story):
    [deployment] = json.loads(story.second.output)
    assert deployment["state"] == "done"
    assert story.second_champion == 2


def test_a_plan_of_other_code_is_refused(story):
    assert story.stale.code == 2
    assert "the plan is stale: it is of flights" in story.stale.errors


def test_a_change_that_breaks_one_slice_is_stopped_and_the_old_model_still_serves(story):
    assert story.broken.code == 1
    assert "airport:LGA 0.88 -> 0.6" in story.broken.errors
    assert story.broken_champion == 2


def test_a_rollback_brings_back_what_was_there(story):
    assert story.rollback.code == 0
    assert story.last_champion == 1
    assert story.last_schedule == story.first_schedule


def test_the_history_has_who_what_and_why(story):
    assert [(r["kind"], r["state"], r["who"] == "ann") for r in story.history] == [
        ("rollback", "done", False),
        ("deploy", "refused", True),
        ("deploy", "done", True),
        ("deploy", "done", True),
        ("deploy", "refused", False),
    ]
    assert "rollback 5  cluster flights" in story.shown
    assert story.shown.splitlines()[0].endswith(": to be sure")


def test_commits_are_recorded_with_what_was_deployed(story):
    first = story.project.git("rev-parse", "main").strip()
    assert story.history[3]["commit"] == first
