"""Loops in pods, whose iterations Kubeflow's driver begins."""

from __future__ import annotations

import json

import pytest

from penstock import LocalRunner
from penstock.data.files import remote
from penstock.metadata.runs import find_run, node_artifacts
from penstock.metadata.store import connect, connection_config
from penstock.testing import Silent
from penstock_support import kubeflow_iterations as iterations
from penstock_support import loop_components, store_shapes
from penstock_support.kubeflow_backend import compile_with_store


def store_of(path):
    return connect(connection_config(str(path)))


def value(metadata, run_id, name):
    """Return the text of what a node has returned."""
    run = find_run(metadata.store, run_id)
    [node] = [node for node in run.nodes if node.node_id == name]
    [artifact] = node_artifacts(metadata.store, node)[1]["output"]
    return remote.read_bytes(artifact.uri).decode()


@pytest.fixture(scope="module")
def played(backend, tmp_path_factory):
    """Two runs over a parameter: the second has another item in front."""
    store = tmp_path_factory.mktemp("store") / "metadata.sqlite"
    compiled = compile_with_store(loop_components.of_rates, store)
    first = iterations.run(backend, compiled, "run-1", rates=[0.5, 1])
    second = iterations.run(backend, compiled, "run-2", rates=[0.25, 0.5, 1])
    return store, first, second


def test_a_loop_in_pods_leaves_what_a_local_one_leaves(played, tmp_path):
    store, *_ = played
    runner = LocalRunner(
        pipeline_root=str(tmp_path / "root"),
        metadata=str(tmp_path / "metadata.sqlite"),
        display=Silent(),
    )
    result = runner.run(loop_components.of_rates, parameters={"rates": [0.5, 1]})
    with store_of(store) as metadata, store_of(tmp_path / "metadata.sqlite") as local:
        in_pods = store_shapes.shape_of_run(metadata.store, "run-1")
        assert in_pods == store_shapes.shape_of_run(local.store, result.run_id)
        assert sorted(in_pods) == ["Compare", "Measure.0", "Measure.1", "Train.0", "Train.1"]


def test_pods_after_a_loop_take_what_all_items_made_in_their_order(played):
    store, *_ = played
    with store_of(store) as metadata:
        assert value(metadata, "run-1", "Compare") == "[0.5, 1.0]"
        assert value(metadata, "run-2", "Compare") == "[0.25, 0.5, 1.0]"


def test_an_item_more_is_the_only_one_that_is_not_taken_from_the_cache(played):
    *_, second = played
    printed = [second[f"train[{n}]"].printed for n in range(3)]
    assert "Train.0  done" in printed[0]
    assert "Train.1  cached" in printed[1]
    assert "Train.2  cached" in printed[2]


def test_the_store_says_which_item_a_pod_worked_for(played):
    store, *_ = played
    with store_of(store) as metadata:
        items = {node.node_id: node.item for node in find_run(metadata.store, "run-2").nodes}
    assert (items["Train.0"], items["Measure.2"], items["Compare"]) == ("0.25", "1", "")


def test_a_loop_over_no_items_is_followed_by_an_empty_list(backend, tmp_path):
    store = tmp_path / "metadata.sqlite"
    compiled = compile_with_store(loop_components.of_rates, store)
    iterations.run(backend, compiled, "run-1", rates=[])
    with store_of(store) as metadata:
        assert value(metadata, "run-1", "Compare") == "[]"


def test_constants_are_compiled_and_arrive_as_they_are(backend, tmp_path):
    store = tmp_path / "metadata.sqlite"
    compiled = compile_with_store(loop_components.of_constants, store)
    iterations.run(backend, compiled, "run-1")
    with store_of(store) as metadata:
        told = '[{"all": {"name": "b", "size": 2}, "size": 2}, "b"]'
        assert value(metadata, "run-1", "Named.1") == told


def test_a_loop_goes_over_what_a_pod_returned(backend, tmp_path):
    store = tmp_path / "metadata.sqlite"
    compiled = compile_with_store(loop_components.of_what_is_returned, store)
    iterations.run(backend, compiled, "run-1", count=2)
    with store_of(store) as metadata:
        assert value(metadata, "run-1", "Compare") == "[0.0, 0.5]"


def test_a_loop_goes_over_the_artifacts_of_another(backend, tmp_path):
    store = tmp_path / "metadata.sqlite"
    compiled = compile_with_store(loop_components.of_artifacts, store)
    iterations.run(backend, compiled, "run-1", names=["b", "a"])
    with store_of(store) as metadata:
        assert value(metadata, "run-1", "Joined") == "b a"


def test_an_item_that_fails_does_not_stop_the_others_and_nothing_comes_after(backend, tmp_path):
    (tmp_path / "0.5").touch()
    compiled = compile_with_store(loop_components.of_rates, tmp_path / "metadata.sqlite")
    ended = iterations.run(
        backend, compiled, "run-1", failing=True, rates=[0.5, 1], folder=str(tmp_path)
    )
    codes = {name: one.code for name, one in ended.items() if "[" in name}
    assert codes == {"train[0]": 1, "train[1]": 0, "measure[1]": 0}
    assert "compare" not in ended


def test_a_condition_in_a_loop_is_decided_for_each_item(backend, tmp_path):
    store = tmp_path / "metadata.sqlite"
    compiled = compile_with_store(loop_components.of_a_condition, store)
    ended = iterations.run(backend, compiled, "run-1")
    assert ended["decide-told[0]"].values == {"holds": "false"}
    with store_of(store) as metadata:
        assert value(metadata, "run-1", "Joined") == "b 0.2"


@pytest.mark.parametrize(
    ("looped", "parameters"),
    [
        (loop_components.of_a_loop_in_a_loop, {"names": ["b", "a"]}),
        (loop_components.of_a_loop_between_loops, {"counts": [1, 0, 2]}),
        (loop_components.of_two_parameters, {}),
        (loop_components.of_lists_in_items, {}),
    ],
    ids=lambda looped: getattr(looped, "name", ""),
)
def test_loops_in_loops_in_pods_leave_what_local_ones_leave(backend, tmp_path, looped, parameters):
    runner = LocalRunner(
        pipeline_root=str(tmp_path / "root"),
        metadata=str(tmp_path / "local.sqlite"),
        display=Silent(),
    )
    result = runner.run(looped, parameters=parameters)
    store = tmp_path / "metadata.sqlite"
    iterations.run(backend, compile_with_store(looped, store), "run-1", **parameters)
    with store_of(store) as metadata, store_of(tmp_path / "local.sqlite") as local:
        in_pods = store_shapes.shape_of_run(metadata.store, "run-1")
        locally = store_shapes.shape_of_run(local.store, result.run_id)
        # An artifact is told as an item by its address, which is another one in pods.
        told = {name for name in locally if not name.startswith("Read.")}
        assert set(in_pods) == set(locally)
        assert {n: in_pods[n] for n in told} == {n: locally[n] for n in told}
        for name in ("Joined", "Everything"):
            if name in result.nodes:
                made = result.output(name, "output").read()
                text = made if isinstance(made, str) else json.dumps(made)
                assert value(metadata, "run-1", name) == text


def test_an_item_more_of_a_loop_in_a_loop_runs_alone(backend, tmp_path):
    compiled = compile_with_store(loop_components.of_two_parameters, tmp_path / "metadata.sqlite")
    iterations.run(backend, compiled, "run-1", names=["a"], rates=[0.5])
    second = iterations.run(backend, compiled, "run-2", names=["b", "a"], rates=[0.5, 0.25])
    done = {name for name, one in second.items() if "  done" in one.printed}
    assert {name for name in done if name.startswith("train")} == {
        "train[0][0]",
        "train[0][1]",
        "train[1][1]",
    }


def test_a_container_in_loops_is_told_the_parts_that_it_takes(backend, tmp_path):
    store = tmp_path / "metadata.sqlite"
    compiled = compile_with_store(loop_components.of_containers, store)
    ended = iterations.run(backend, compiled, "run-1", counts=[3, 4])
    with store_of(store) as metadata:
        assert value(metadata, "run-1", "Joined") == "a x1.5 b x1e-07"
        assert value(metadata, "run-1", "Counts") == "3 c x0.5 3 d x0.5 4 c x0.5 4 d x0.5"
        items = {node.node_id: node.item for node in find_run(metadata.store, "run-1").nodes}
    assert items["Writes.1"] == '{"name": "b", "size": 1e-07}'
    assert items["Again.1.0"] == '4, "c"'
    assert "Again.1.0  done" in ended["again-record[1][0]"].printed


def test_a_container_is_told_an_item_that_a_run_alone_knows(backend, tmp_path):
    store = tmp_path / "metadata.sqlite"
    compiled = compile_with_store(loop_components.of_containers_of_a_list, store)
    iterations.run(backend, compiled, "run-1", sizes=[0.5, 1e-9])
    with store_of(store) as metadata:
        assert value(metadata, "run-1", "Joined") == "a x0.5 a x1e-09"
