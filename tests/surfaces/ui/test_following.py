"""What a page that is shown asks for again and again, and what that costs."""

from __future__ import annotations

import json
import shutil
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest

from penstock.metadata.runs import find_run, list_runs
from penstock.metadata.store import connect, connection_config, execution_outputs
from penstock.report import page as report_page
from penstock.report.progress import Places, read_progress
from penstock.surfaces.ui.reports import Reports
from penstock_support.histories import History, Reading, new_store


@pytest.fixture
def get(site):
    """A function that asks for a path and returns the status, the ETag and the text."""

    def ask(path: str, tag: str = "") -> SimpleNamespace:
        headers = {"Cookie": f"penstock-{urlsplit(site).port}=the-right-token"}
        if tag:
            headers["If-None-Match"] = tag
        request = urllib.request.Request(site.partition("?")[0] + path, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                text = answer.read().decode()
                return SimpleNamespace(status=answer.status, tag=answer.headers["ETag"], text=text)
        except urllib.error.HTTPError as error:
            return SimpleNamespace(status=error.code, tag=error.headers["ETag"], text="")

    return ask


def test_a_state_tells_how_the_run_and_its_nodes_stand(get, results):
    told = json.loads(get(f"runs/{results.failed.run_id}/state").text)
    assert (told["run"], told["state"]) == (results.failed.run_id, "failed")
    assert told["nodes"] == {
        "MakeStatistics": "cached",
        "Train": "failed",
        "Validate": "cached",
        "Evaluate": "not run",
        "Push": "not run",
    }


@pytest.mark.parametrize("path", ["state", "runs/{}/state", "runs/{}/nodes/Train/state"])
def test_a_state_that_is_known_already_is_not_told_again(get, results, path):
    path = path.format(results.first.run_id)
    first = get(path)
    again = get(path, first.tag)
    assert (first.status, again.status, again.tag) == (200, 304, first.tag)


def test_a_state_of_what_is_not_there_is_404(get):
    assert get("runs/no-such-run/state").status == 404


def test_a_node_s_state_is_another_one_when_its_log_has_grown(get, project, results):
    run_id = results.first.run_id
    path = f"runs/{run_id}/nodes/Train/state"
    before, other = get(path).tag, get(f"runs/{run_id}/nodes/Push/state").tag
    [log] = project.folder.glob(f"root/**/.runs/{run_id}/Train.log")
    with log.open("a") as file:
        file.write("more\n")
    assert get(path).tag != before
    assert get(f"runs/{run_id}/nodes/Push/state").tag == other


def test_asking_for_the_state_of_a_run_makes_no_report(get, results, monkeypatch):
    def no_report(*_, **__):
        raise AssertionError("a report was made")

    monkeypatch.setattr(report_page, "build", no_report)
    assert get(f"runs/{results.first.run_id}/state").status == 200


@pytest.mark.parametrize(("path", "most"), [("state", 2), ("runs/{}/state", 3)])
def test_a_state_takes_few_calls_of_the_store(get, results, monkeypatch, path, most):
    path = path.format(results.first.run_id)
    get(path)
    read = Reading().install(monkeypatch)
    get(path)
    assert read.calls <= most


@pytest.fixture
def built(monkeypatch) -> list[str]:
    """The runs whose reports are made, in their order."""
    made: list[str] = []
    build = report_page.build

    def noted(store, run_id, **options):
        made.append(run_id)
        return build(store, run_id, **options)

    monkeypatch.setattr(report_page, "build", noted)
    return made


def test_a_report_is_made_once_for_all_who_ask_for_it(get, project, built):
    run_id = project.run().run_id
    for path in (f"runs/{run_id}", f"runs/{run_id}", f"runs/{run_id}/report"):
        assert get(path).status == 200
    assert built == [run_id]


def test_a_report_is_made_again_when_an_artifact_is_gone(get, project, built):
    run_id = project.run(accuracy=0.71).run_id
    get(f"runs/{run_id}")
    with connect(connection_config(project.address), create=False) as metadata:
        node = next(n for n in find_run(metadata.store, run_id).nodes if n.node_id == "Evaluate")
        [evaluation] = execution_outputs(metadata.store, node.execution_id)["evaluation"]
    shutil.rmtree(evaluation.uri)
    get(f"runs/{run_id}")
    assert built == [run_id, run_id]


@pytest.fixture
def held(project, monkeypatch) -> Iterator[SimpleNamespace]:
    """A run whose curves are only read when they may be, as if they came from far away."""
    run_id = project.run(accuracy=0.72).run_id
    begun, may = threading.Event(), threading.Event()
    read = report_page.read_training

    def waiting(*arguments):
        begun.set()
        assert may.wait(60)
        return read(*arguments)

    monkeypatch.setattr(report_page, "read_training", waiting)
    yield SimpleNamespace(run_id=run_id, begun=begun, may=may)
    may.set()


def test_a_report_that_takes_long_holds_up_neither_states_nor_other_pages(get, results, held):
    run_id = held.run_id
    # More who wait for it than there are threads for reports.
    with ThreadPoolExecutor(8) as pool:
        waiting = [pool.submit(get, f"runs/{run_id}") for _ in range(8)]
        assert held.begun.wait(60)
        others = ("", "state", f"runs/{run_id}/state", f"runs/{run_id}/nodes/Train", "artifacts/1")
        assert [get(path).status for path in others] == [200] * len(others)
        assert not any(asked.done() for asked in waiting)
        held.may.set()
        assert [asked.result().status for asked in waiting] == [200] * 8


def test_many_requests_at_once_are_all_answered(get, results):
    paths = [
        path
        for run in (results.first, results.second, results.failed)
        for path in ("", "state", f"runs/{run.run_id}", f"runs/{run.run_id}/state")
    ] * 3
    with ThreadPoolExecutor(12) as pool:
        assert {answer.status for answer in pool.map(get, paths)} == {200}


@pytest.fixture
def remote(tmp_path, monkeypatch):
    """A run that has an evaluation in an object store, and how often that was fetched."""
    history = History(new_store(), tmp_path)
    made = history.execute("r", "Evaluate", {}, {"evaluation": "ModelEvaluation"})
    [artifact] = history.store.get_artifacts_by_id([made["evaluation"]])
    folder, artifact.uri = artifact.uri, "s3://bucket/evaluation"
    history.store.put_artifacts([artifact])
    found = SimpleNamespace(history=history, fetched=0, is_there=True)

    def fetch(uri: str, _: str) -> str:
        if uri != "s3://bucket/evaluation":
            return uri
        found.fetched += 1
        if not found.is_there:
            raise report_page.PenstockError("it cannot be reached")
        return folder

    monkeypatch.setattr(report_page, "local_copy", fetch)
    return found


def report_of(remote, reports):
    return reports.report(read_progress(remote.history.store, "r", Places()))


def test_a_remote_artifact_is_fetched_once_however_often_its_run_changes(remote):
    reports = Reports(remote.history.store)
    first = report_of(remote, reports)
    remote.history.execute("r", "Push")
    second = report_of(remote, reports)
    assert (len(first.contents.nodes), len(second.contents.nodes)) == (1, 2)
    assert remote.fetched == 1


def test_a_remote_artifact_that_cannot_be_reached_is_tried_again(remote):
    reports = Reports(remote.history.store)
    remote.is_there = False
    assert len(report_of(remote, reports).unreachable) == 1
    remote.is_there = True
    assert report_of(remote, reports).unreachable == ()


def test_no_more_than_a_number_of_reports_are_kept(tmp_path):
    history = History(new_store(), tmp_path)
    reports = Reports(history.store, most=2)
    for name in ("a", "b", "c"):
        history.execute(name, "Gen")
        reports.report(read_progress(history.store, name, Places()))
    assert list(reports.kept) == ["b", "c"]


def test_runs_that_are_done_are_not_read_again_until_they_change(tmp_path, monkeypatch):
    history = History(new_store(), tmp_path)
    for name in ("a", "b"):
        history.execute(name, "Gen")
        context = history.store.get_context_by_type_and_name("pipeline_run", name)
        context.custom_properties["state"].string_value = "done"
        history.store.put_contexts([context])
    known: dict = {}
    list_runs(history.store, done_runs=known)
    read = Reading().install(monkeypatch)
    assert [run.run_id for run in list_runs(history.store, done_runs=known)] == ["b", "a"]
    assert read.calls == 1
    context.custom_properties["state"].string_value = "running"
    history.store.put_contexts([context])
    assert [run.state for run in list_runs(history.store, done_runs=known)] == ["running", "done"]
