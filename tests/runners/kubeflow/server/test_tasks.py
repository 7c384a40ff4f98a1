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
from penstock.testing.kubeflow import FakePipelines, argo
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


def argo_s(graph, tries=1):
    """What a server up to 2.17 says of the nodes of a workflow, as Argo's sources name them."""
    nodes = argo.nodes_of("w", {"root-driver": "SUCCEEDED", "root": graph}, tries)
    return {
        "run_details": {
            "task_details": [
                detail(node.name, node.state, [f"w-{fnv1a(path)}" for path in node.children])
                for node in nodes
            ]
        }
    }


def pod_of(name, state="SUCCEEDED"):
    """A task of one pod in a graph, after its driver."""
    return {f"{name}-driver": "SUCCEEDED", name: {"executor": state}}


def pod_name(path):
    return f"w-system-container-impl-{fnv1a(path)}"


def test_argo_s_nodes_have_the_names_that_its_sources_give_them():
    nodes = argo.nodes_of("w", {"root": {"train": {"executor": "RUNNING"}}})
    assert [node.path for node in nodes][-1] == "w(0).root(0).train(0).executor(0)"
    assert {node.name for node in nodes} >= {"w", "w(0)", "root", "root(0)", "executor(0)"}
    skipped = argo.nodes_of("w", {"root": {"train": {"executor": argo.SKIPPED}}})
    assert [node.path for node in skipped][-1] == "w(0).root(0).train(0).executor"
    looped = argo.nodes_of("w", {"loop": ["SUCCEEDED"]})
    assert [node.path for node in looped][-1] == "w(0).loop(0:0)(0)"


@pytest.mark.parametrize("group", ["", "exit-handler-1"])
def test_the_pods_of_a_task_whose_whole_path_is_tried_are_found(group):
    graph = {**pod_of("first"), **pod_of("second", "RUNNING"), **pod_of("third")}
    if group:
        graph = {f"{group}-driver": "SUCCEEDED", group: graph}
    inner = f"w(0).root(0).{group}(0)" if group else "w(0).root(0)"
    known = task_runs(argo_s(graph))
    assert known["second"].pods[0] == pod_name(f"{inner}.second(0).executor(0)")
    others = {pod for name in ("first", "third") for pod in known[name].pods}
    assert not others & set(known["second"].pods)


def test_the_pod_of_an_exit_handler_is_found_in_the_hook_that_it_is():
    graph = {"exit-handler-1-driver": "SUCCEEDED", "exit-handler-1": pod_of("first")}
    known = task_runs(argo_s({**graph, "exit-handler-1.onExit": pod_of("notify")}))
    path = "w(0).root(0).exit-handler-1.onExit(0).notify(0).executor(0)"
    assert known["notify"].pods[0] == pod_name(path)


def test_the_last_try_of_a_pod_is_the_likeliest_however_many_there_were():
    pods = task_runs(argo_s(pod_of("first", "FAILED"), tries=12))["first"].pods
    path = "w(11).root(11).first(11).executor"
    assert pods[:2] == (pod_name(f"{path}(11)"), f"w-{fnv1a(f'{path}(11)')}")
    assert pod_name(f"{path}(0)") in pods


def test_the_pod_of_a_task_that_nothing_tries_again_is_that_of_its_executor():
    known = task_runs(argo_s(pod_of("first"), tries=0))
    assert known["first"].pods[0] == pod_name("w.root.first.executor")


def test_a_task_whose_executor_alone_is_tried_has_its_pods_below_it():
    path = "w.root.first.executor"
    known = runs(
        detail("root", "RUNNING", [f"w-{fnv1a('w.root.first-driver')}"]),
        detail("first", "RUNNING", [f"w-{fnv1a(path)}"]),
        detail("executor", "RUNNING", [f"w-{fnv1a(f'{path}({count})')}" for count in range(2)]),
    )
    assert known["first"].pods[:4:2] == (pod_name(f"{path}(1)"), pod_name(f"{path}(0)"))


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


TRAIN = Task("train", "Train", ("Train",), ("for-each-1",))
INNER = Task("train", "Train", ("Train",), ("for-each-1", "for-each-2"))


def looped(name, items):
    """The tasks of a loop in a graph, with the tasks that stand in it for each item."""
    iterations = [{"iteration-item-driver": "SUCCEEDED", "iteration-item": one} for one in items]
    return {name: {"iteration-driver": "SUCCEEDED", "iteration-iterations": iterations}}


def iterations(group="", tries=1):
    """What a server up to 2.17 says of two items, the second of which has failed."""
    graph = looped("for-each-1", [pod_of("train", state) for state in ("SUCCEEDED", "FAILED")])
    if group:
        graph = {f"{group}-driver": "SUCCEEDED", group: graph}
    return argo_s(graph, tries)


@pytest.mark.parametrize("tries", [0, 1, 3])
@pytest.mark.parametrize("group", ["", "exit-handler-1"])
def test_the_item_of_a_loop_s_task_is_found_by_the_paths_of_argo_s_nodes(group, tries):
    found = item_runs(iterations(group, tries), TRAIN)
    assert {item: one.state for item, one in found.items()} == {
        (0,): "SUCCEEDED",
        (1,): "FAILED",
    }


@pytest.mark.parametrize("tries", [0, 1])
def test_the_items_of_loops_in_loops_are_found_with_their_pods(tries):
    states = [["SUCCEEDED", "RUNNING"], ["FAILED"]]
    graph = looped(
        "for-each-1",
        [looped("for-each-2", [pod_of("train", state) for state in inner]) for inner in states],
    )
    found = item_runs(argo_s(graph, tries), INNER)
    assert {item: one.state for item, one in found.items()} == {
        (0, 0): "SUCCEEDED",
        (0, 1): "RUNNING",
        (1, 0): "FAILED",
    }
    again = "(0)" if tries else ""
    around = ["w", "root", "for-each-1", "iteration-iterations(0:0)", "iteration-item"]
    around += ["for-each-2", "iteration-iterations(1:1)", "iteration-item", "train", "executor"]
    path = ".".join(f"{name}{again}" for name in around)
    assert found[0, 1].pods[0] == pod_name(path)


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
    assert {item: one.state for item, one in found.items()} == {
        (0,): "SUCCEEDED",
        (1,): "RUNNING",
    }


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
    assert [(task.title, task.item) for task in asked] == [("Train.1", (1,))]
