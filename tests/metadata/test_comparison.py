from __future__ import annotations

import json

import pytest

from penstock.errors import RunError
from penstock.metadata.comparison import compare_runs
from penstock_support.histories import History, new_store


@pytest.fixture
def history(tmp_path):
    return History(new_store(), tmp_path)


def trained(history, run, *, steps=1, span=1, code="a", accuracy=0.5, digest=""):
    examples = history.execute(
        run,
        "Gen",
        {},
        {"examples": "Examples"},
        properties={"examples": {"span": span, "input_fingerprint": f"bytes:{span}"}},
        run_parameters={"steps": steps, "rate": 0.5},
    )["examples"]
    content = {"content_digest": digest} if digest else {}
    model = history.execute(
        run,
        "Trainer",
        {"examples": [examples]},
        {"model": "Model"},
        parameters={
            "train_args": str(steps),
            "__code_fingerprint__": json.dumps({"model.py": code, "data.py": "same"}),
        },
        properties={"model": content},
    )["model"]
    metrics = json.dumps([{"metric": "accuracy", "value": accuracy}])
    history.execute(
        run,
        "Evaluator",
        {"model": [model]},
        {"evaluation": "ModelEvaluation"},
        properties={"evaluation": {"metrics": metrics}},
    )
    return model


def different(items) -> list[tuple]:
    return [(d.name, d.first, d.second) for d in items if d.is_different]


def test_parameters_data_code_and_metrics_differ_as_they_do(history):
    trained(history, "a")
    trained(history, "b", steps=2, span=5, code="z", accuracy=0.75)
    compared = compare_runs(history.store, "a", "b")
    assert different(compared.parameters) == [("steps", 1, 2)]
    assert different(compared.node_parameters) == [("Trainer.train_args", "1", "2")]
    assert different(compared.data) == [
        ("Gen.examples span", 1, 5),
        ("Gen.examples input_fingerprint", "bytes:1", "bytes:5"),
    ]
    assert different(compared.code) == [("Trainer: model.py", "a", "z")]
    assert [(m.name, m.difference) for m in compared.metrics] == [("accuracy", 0.25)]


def test_what_is_the_same_is_there_and_not_different(history):
    trained(history, "a")
    trained(history, "b")
    compared = compare_runs(history.store, "a", "b")
    for items in (compared.parameters, compared.data, compared.code, compared.metrics):
        assert items
        assert different(items) == []


def test_artifacts_are_compared_by_their_contents(history):
    trained(history, "a", digest="d1")
    trained(history, "b", digest="d1")
    trained(history, "c", digest="d2")

    def models(other):
        artifacts = compare_runs(history.store, "a", other).artifacts
        return [d.is_different for d in artifacts if d.name == "Trainer.model"]

    assert (models("b"), models("c")) == ([False], [True])


def test_what_a_node_was_given_from_elsewhere_is_compared_too(history):
    base = trained(history, "a")
    history.execute("b", "Trainer", {"base_model": [base]}, {"model": "Model"})
    history.execute("c", "Trainer", {}, {"model": "Model"})
    compared = compare_runs(history.store, "b", "c")
    [given] = [d for d in compared.artifacts if d.name == "Trainer, given base_model"]
    assert (given.first.artifact_id, given.second) == (base, None)


def test_nodes_are_side_by_side_also_where_one_run_lacks_them(history):
    trained(history, "a")
    history.execute("b", "Gen", {}, {"examples": "Examples"}, state="failed")
    nodes = {n.node_id: n for n in compare_runs(history.store, "a", "b").nodes}
    assert (nodes["Gen"].first.state, nodes["Gen"].second.state) == ("done", "failed")
    assert nodes["Trainer"].second is None
    assert all(node.is_different for node in nodes.values())


def test_a_node_s_time_differs_where_it_is_more_than_noise(history):
    for run, seconds in (("a", 10.0), ("b", 11.0), ("c", 15.0)):
        history.execute(run, "Slow", parameters={"__wall_seconds__": seconds})
    assert not compare_runs(history.store, "a", "b").nodes[0].is_different
    assert compare_runs(history.store, "a", "c").nodes[0].is_different


def test_a_cached_node_has_the_parameters_that_its_maker_computed(history):
    made = history.execute("a", "Gen", {}, {"x": "Examples"}, parameters={"fingerprint": "f"})
    history.execute("b", "Gen", cached=made, state="cached")
    compared = compare_runs(history.store, "a", "b")
    assert different(compared.node_parameters) == []


def test_a_run_that_is_not_there_is_a_named_error(history):
    history.execute("a", "Gen")
    with pytest.raises(RunError, match="there is no run 'b'"):
        compare_runs(history.store, "a", "b")


def test_a_truth_value_is_the_same_however_it_was_recorded(history):
    history.execute("one", "Transform", parameters={"materialize": "true"})
    history.execute("two", "Transform", parameters={"materialize": True})
    [difference] = compare_runs(history.store, "one", "two").node_parameters
    assert not difference.is_different
