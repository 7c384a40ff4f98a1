"""What is made of a server's answers about tasks, of whichever kind it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.errors import RunError
from penstock.runners.kubeflow.compile.compiling import compile_for_kubeflow
from penstock.runners.kubeflow.contract import documents
from penstock.runners.kubeflow.contract.documents import Task
from penstock.runners.kubeflow.server import connecting, logs, operations
from penstock.runners.kubeflow.server.pods import PodLog
from penstock.runners.kubeflow.server.tasks import CACHED, fnv1a, item_runs, task_runs
from penstock.testing.kubeflow import FakePipelines
from penstock_support import IMPORT_PATH, loop_components
from penstock_support.kubeflow_pipelines import cluster

AT, LATER = "2026-01-01T00:00:00Z", "2026-01-01T00:00:30Z"


def detail(name, state, children=(), pod_name="", ended=LATER):
    return {
        "display_name": name,
        "state": state,
        "start_time": AT,
        "end_time": ended,
        "child_tasks": [{"pod_name": child} for child in children],
        **({"pod_name": pod_name} if pod_name else {}),
    }


def runs(*details):
    return task_runs({"run_details": {"task_details": list(details)}})


def test_argo_s_hash_is_that_of_fnv():
    assert fnv1a("") == 2166136261
    assert fnv1a("foobar") == 0xBF9CF968


def test_a_task_s_pods_are_those_below_its_executor_and_none_of_the_next_task():
    known = runs(
        detail("first", "SUCCEEDED", ["w-2"], "w-1"),
        detail("executor", "SUCCEEDED", ["w-3", "w-4"], "w-2"),
        detail("executor(0)", "FAILED", [], "w-3"),
        detail("executor(1)", "SUCCEEDED", ["w-5"], "w-4"),
        detail("last-driver", "SUCCEEDED", [], "w-5"),
    )
    pods = known["first"].pods
    assert pods[:2] == ("w-system-container-impl-4", "w-4")
    assert not {"w-5", "w-system-container-impl-5"} & set(pods)


def test_a_task_whose_executor_was_skipped_is_cached():
    known = runs(
        detail("first", "SUCCEEDED", ["w-2"], "w-1"),
        detail("executor", "SKIPPED", ["w-5"], "w-2"),
        detail("last-driver", "SUCCEEDED", [], "w-5"),
    )
    assert known["first"].state == CACHED


def test_where_nodes_are_not_named_a_task_is_cached_if_nothing_took_time():
    skipped = detail("executor", "SKIPPED", ended=AT)
    known = runs(
        detail("first", "SUCCEEDED", ["w-2"], ended=AT), detail("last", "SUCCEEDED"), skipped
    )
    assert (known["first"].state, known["last"].state) == (CACHED, "SUCCEEDED")


def test_the_tries_of_a_pod_inside_a_group_are_found_by_their_paths():
    executor = f"w-{fnv1a('w.root.exit-handler-1.first.executor')}"
    known = runs(
        detail("exit-handler-1", "RUNNING"),
        detail("exit-handler-1-driver", "SUCCEEDED"),
        detail("first", "RUNNING", [executor]),
    )
    first_try = fnv1a("w.root.exit-handler-1.first.executor(0)")
    assert f"w-system-container-impl-{first_try}" in known["first"].pods


def test_tasks_without_ml_metadata_say_their_states_and_pods_themselves():
    task = {
        "name": "first",
        "state": "FAILED",
        "create_time": AT,
        "end_time": LATER,
        "status_metadata": {"message": "no luck"},
        "pods": [{"name": "d", "type": "DRIVER"}, {"name": "e", "type": "EXECUTOR"}],
    }
    first = task_runs({"tasks": [task]})["first"]
    assert (first.state, first.error, first.pods) == ("FAILED", "no luck", ("e",))
    assert (first.ended - first.started).total_seconds() == 30


TRAIN = Task("train", "Train", ("Train",), "for-each-1")


def iterations(group="", tried=""):
    """What a server up to 2.17 says of two items, the second of which has failed."""
    begun = ["for-each-1", "for-each-1-driver", *([group, f"{group}-driver"] if group else ())]
    details = [detail(name, "SUCCEEDED") for name in begun]
    for index, state in enumerate(("SUCCEEDED", "FAILED")):
        around = ["w", "root", *filter(None, [group]), "for-each-1"]
        around += [f"iteration-iterations({index}:{index})", "iteration-item"]
        last = "train(0)" if tried else "train.executor"
        path = ".".join([*(f"{part}{tried}" for part in around), last])
        details.append(detail(f"iteration-iterations({index}:{index})", state))
        details.append(detail("train", state, [f"w-{fnv1a(path)}"]))
    return {"run_details": {"task_details": details}}


@pytest.mark.parametrize("tried", ["", "(0)"], ids=["tried-once", "tried-again-everywhere"])
@pytest.mark.parametrize("group", ["", "exit-handler-1"])
def test_the_item_of_a_loop_s_task_is_found_by_the_paths_of_argo_s_nodes(group, tried):
    found = item_runs(iterations(group, tried), TRAIN)
    assert {index: one.state for index, one in found.items()} == {0: "SUCCEEDED", 1: "FAILED"}


def test_the_item_of_a_loop_s_task_stands_in_a_task_above_it_without_ml_metadata():
    above = [
        {"name": "for-each-1", "task_id": "loop", "type": "LOOP"},
        *(
            {
                "name": f"iteration-{index}",
                "task_id": f"of-{index}",
                "parent_task_id": "loop",
                "type": "LOOP_ITERATION",
                "type_attributes": {"iteration_index": str(index)},
            }
            for index in (0, 1)
        ),
    ]
    own = [
        {"name": "train", "task_id": f"t{i}", "parent_task_id": f"of-{i}", "state": state}
        for i, state in enumerate(("SUCCEEDED", "RUNNING"))
    ]
    found = item_runs({"tasks": [*above, *own]}, TRAIN)
    assert {index: one.state for index, one in found.items()} == {0: "SUCCEEDED", 1: "RUNNING"}


def test_a_loop_s_task_whose_items_cannot_be_told_apart_has_none():
    assert item_runs({"run_details": {"task_details": [detail("train", "FAILED")]}}, TRAIN) == {}


def test_the_status_of_a_run_has_a_line_for_each_item_of_a_loop():
    profile = cluster()
    compiled = compile_for_kubeflow(loop_components.of_rates, profile, Path(IMPORT_PATH))
    spec = documents.read(compiled.to_yaml()).spec
    answer = {"run_id": "r", "state": "FAILED", "pipeline_spec": spec, **iterations()}
    with FakePipelines() as server:
        status = operations.status_of(connecting.connect(server.host), answer)
    states = {node.name: node.state for node in status.nodes}
    assert states["Train.0"] == "SUCCEEDED"
    assert states["Train.1"] == "FAILED"
    assert "Train" not in states
    assert states["Measure"] == "SKIPPED"


@pytest.mark.parametrize("name", ["Train.1", "train.1"])
def test_the_log_of_an_item_of_a_loop_is_asked_for_by_its_name(name):
    compiled = compile_for_kubeflow(loop_components.of_rates, cluster(), Path(IMPORT_PATH))
    spec = documents.read(compiled.to_yaml()).spec
    run = {"run_id": "r", "state": "RUNNING", "pipeline_spec": spec, **iterations()}
    asked = []

    def read_pod(_namespace, _run_id, task):
        asked.append(task)
        return PodLog("of the second item")

    with FakePipelines() as server:
        service = connecting.connect(server.host)
        assert logs.read_log(service, run, name, read_pod) == "of the second item"
        with pytest.raises(RunError, match="Train.7 of run r has no log: it has not run"):
            logs.read_log(service, run, "Train.7", read_pod)
    assert [(task.title, task.item) for task in asked] == [("Train.1", 1)]
