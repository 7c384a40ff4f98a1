"""Runs tell of themselves by events, and end as they would have without."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from penstock import LocalRunner, pipeline
from penstock.components import LatestArtifact
from penstock.errors import ConfigError
from penstock.metadata.runs import find_run
from penstock.openlineage import destination
from penstock.openlineage.events import execution_uuid, run_uuid
from penstock.runners.local import State
from penstock.runners.local.display import Silent
from penstock_support import example_components as examples


def run_in(folder, address: str, what, **options):
    runner = LocalRunner(
        pipeline_root=str(folder / "root"),
        metadata=str(folder / "metadata.sqlite"),
        display=Silent(),
        openlineage=address,
    )
    return runner.run(what, raise_on_failure=False, **options)


def events_in(path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def ends(events) -> dict[str, str]:
    return {e["job"]["name"]: e["eventType"] for e in events if e["eventType"] != "START"}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run and the same again, from the cache; of each the result and what was told."""
    folder = tmp_path_factory.mktemp("runs")
    told = []
    for name in ("first", "again"):
        result = run_in(folder, f"file:{folder}/{name}.jsonl", examples.training)
        told.append((result, events_in(folder / f"{name}.jsonl")))
    return told


def test_a_run_and_each_of_its_nodes_begin_and_end(runs):
    result, events = runs[0]
    assert result.succeeded
    assert (result.events.events, result.events.lost) == (len(events), 0)
    name = result.pipeline_name
    assert ends(events) == dict.fromkeys([name, *(f"{name}.{n}" for n in result.nodes)], "COMPLETE")
    starts = [e["job"]["name"] for e in events if e["eventType"] == "START"]
    assert sorted(starts) == sorted(ends(events))
    assert {e["run"]["runId"] for e in events} == {
        run_uuid(result.run_id),
        *(execution_uuid(result.run_id, n, r.execution_id) for n, r in result.nodes.items()),
    }


def test_what_one_node_makes_the_next_is_told_to_read(runs):
    result, events = runs[0]
    job = result.pipeline_name
    [made] = [e for e in events if e["job"]["name"] == f"{job}.MakeExamples" and e["outputs"]]
    [read] = [
        e for e in events if e["job"]["name"] == f"{job}.TrainModel" and e["eventType"] == "START"
    ]
    names = {d["name"]: d["facets"]["version"]["datasetVersion"] for d in made["outputs"]}
    assert read["inputs"]
    for dataset in read["inputs"]:
        assert names[dataset["name"]] == dataset["facets"]["version"]["datasetVersion"]
    assert read["job"]["facets"]["penstock_code"]["digests"]


def test_cached_nodes_are_complete_and_say_that_they_are_cached(runs):
    result, events = runs[1]
    assert {node.state for node in result.nodes.values()} == {State.CACHED}
    nodes = [e for e in events if "parent" in e["run"]["facets"] and e["eventType"] == "COMPLETE"]
    assert [e["run"]["facets"]["penstock_execution"]["cached"] for e in nodes] == [True] * 3


def test_what_is_cached_is_a_version_that_was_told_before(runs):
    (_, first), (_, again) = runs
    versions = [
        {
            (d["name"], d["facets"]["version"]["datasetVersion"])
            for e in events
            for d in e["outputs"]
        }
        for events in (first, again)
    ]
    assert versions[0] == versions[1] != set()


@pipeline
def choosing():
    made = examples.MakeExamples(rows=3).with_id("made")
    return [made, LatestArtifact(made.outputs["examples"]).with_id("chosen")]


def test_what_a_resolver_chooses_it_reads_and_has_not_made(tmp_path):
    path = tmp_path / "events.jsonl"
    assert run_in(tmp_path, "", choosing).succeeded
    assert run_in(tmp_path, f"file:{path}", choosing).succeeded
    chosen = [e for e in events_in(path) if e["job"]["name"] == "choosing.chosen"]
    assert [e["eventType"] for e in chosen] == ["START", "COMPLETE"]
    for event in chosen:
        assert [d["name"] for d in event["inputs"]] == [f"{tmp_path}/root/made/examples"]
        assert event["outputs"] == []


@pipeline
def failing():
    failed = examples.Fails().with_id("failed")
    after = examples.After(model=failed.outputs["model"]).with_id("after")
    return [failed, after]


def test_a_failure_is_told_with_its_message_and_a_resumed_run_tells_of_what_is_new(tmp_path, store):
    path = tmp_path / "events.jsonl"
    result = run_in(tmp_path, f"file:{path}", failing)
    first = events_in(path)
    assert result.state is State.FAILED
    assert ends(first) == {"failing": "FAIL", "failing.failed": "FAIL"}
    for event in first:
        if event["eventType"] == "FAIL":
            message = event["run"]["facets"]["errorMessage"]["message"]
            assert result.nodes["failed"].error in message

    runner = LocalRunner(
        pipeline_root=str(tmp_path / "root"),
        metadata=str(tmp_path / "metadata.sqlite"),
        display=Silent(),
        openlineage=f"file:{path}",
    )
    resumed = runner.resume(failing, result.run_id, raise_on_failure=False)
    new = events_in(path)[len(first) :]
    assert resumed.events.events == len(new) == 4
    assert new[0]["run"]["runId"] == run_uuid(result.run_id, 2)
    assert find_run(store, result.run_id).events.events == len(first) + 4


def test_a_receiver_that_hangs_never_fails_a_run(tmp_path, receiver_that, store, monkeypatch):
    monkeypatch.setattr(destination, "TIMEOUT_SECONDS", 0.1)
    result = run_in(tmp_path, receiver_that("hangs").url, examples.training)
    assert result.succeeded
    assert result.events.lost == result.events.events == 2 + 2 * len(result.nodes)
    assert find_run(store, result.run_id).events == result.events


def test_a_wrong_destination_stops_before_anything_runs(tmp_path):
    with pytest.raises(ConfigError, match="expected file:PATH or an http"):
        run_in(tmp_path, "kafka:topic", examples.training)
    assert not (tmp_path / "metadata.sqlite").exists()


def test_the_command_line_shows_what_was_lost(tmp_path, closed_port):
    support = Path(examples.__file__).parent
    (tmp_path / "penstock.toml").write_text(
        f"""
        [pipelines]
        training = "{support}/example_components.py:training"

        [profiles.default]
        openlineage = "http://127.0.0.1:{closed_port}"
        openlineage_token = "${{env:LINEAGE_TOKEN}}"
        """
    )
    environment = {**os.environ, "LINEAGE_TOKEN": "canary-token"}

    def penstock(*arguments):
        return subprocess.run(
            [sys.executable, "-W", "ignore", "-m", "penstock", *arguments],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )

    told = (
        f"openlineage: 8 of 8 events were not delivered: "
        f"http://127.0.0.1:{closed_port}: Connection refused"
    )
    ran = penstock("run", "training")
    assert told in ran.stdout
    assert told in penstock("show", "latest").stdout
    written = [p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()]
    assert not any(b"canary-token" in content for content in [ran.stdout.encode(), *written])
