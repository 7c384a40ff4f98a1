from __future__ import annotations

import pytest

from penstock.errors import LineageError, RunError
from penstock.metadata.lineage import ancestors, descendants, find_artifact
from penstock_support.histories import Calls, History, new_store


@pytest.fixture
def history(tmp_path):
    return History(new_store(), tmp_path)


def drawn(lineage):
    """Return a tree as indented lines: key, id and where it is repeated."""
    return [
        f"{'  ' * row.depth}{row.key} {row.artifact.artifact_id}{' again' * row.repeated}"
        f"{f' +{row.others}' * bool(row.others)}"
        for row in lineage.rows()
    ]


def train(history, run="r1", **more):
    """Record a run in which examples are used by two nodes; return its artifacts' ids."""
    examples = history.execute(run, "Gen", {}, {"examples": "Examples"})["examples"]
    graph = history.execute(
        run, "Transform", {"examples": [examples]}, {"graph": "TransformGraph"}
    )["graph"]
    made = history.execute(
        run,
        "Trainer",
        {"examples": [examples], "graph": [graph]},
        {"model": "Model", "log": "ModelRun"},
    )
    return {"examples": examples, "graph": graph, **made}


def test_ancestors_are_drawn_once_and_then_referred_to(history):
    ids = train(history)
    assert drawn(ancestors(history.store, ids["model"])) == [
        f" {ids['model']}",
        f"  examples {ids['examples']}",
        f"  graph {ids['graph']}",
        f"    examples {ids['examples']} again",
    ]


def test_descendants_are_drawn_below_each_that_they_were_made_from(history):
    ids = train(history)
    assert drawn(descendants(history.store, ids["examples"])) == [
        f" {ids['examples']}",
        f"  graph {ids['graph']}",
        f"    log {ids['log']}",
        f"    model {ids['model']}",
        f"  log {ids['log']} again +1",
    ]


def test_what_was_made_along_with_another_is_not_traced_twice(history):
    examples = history.execute("r", "Gen", {}, {"x": "Examples"})["x"]
    made = history.execute("r", "Split", {"x": [examples]}, {"a": "Examples", "b": "Examples"})
    model = history.execute("r", "T", {k: [i] for k, i in made.items()}, {"m": "Model"})["m"]
    rows = list(ancestors(history.store, model).rows())
    assert [row.artifact.artifact_id for row in rows] == [model, made["a"], examples, made["b"]]
    assert rows[-1].along_with == rows[1].artifact


def test_an_artifact_under_two_keys_has_one_branch(history):
    made = history.execute("r", "A", {}, {"x": "Examples"})
    ids = {"left": [made["x"]], "right": [made["x"]]}
    model = history.execute("r", "B", ids, {"model": "Model"})["model"]
    assert drawn(ancestors(history.store, model))[1:] == [f"  left, right {made['x']}"]


def test_what_was_cached_points_to_the_execution_that_made_it(history):
    first = train(history)
    history.execute("r2", "Gen", {}, cached={"examples": first["examples"]}, state="cached")
    history.execute(
        "r2",
        "Trainer",
        {"examples": [first["examples"]]},
        cached={"model": first["model"]},
        state="cached",
    )
    assert ancestors(history.store, first["model"]).maker.run_id == "r1"
    below = descendants(history.store, first["examples"])
    assert {row.maker.run_id for row in below.rows()} == {"r1"}
    assert sum(row.artifact.artifact_id == first["model"] for row in below.rows()) == 1


def test_equal_examples_of_another_run_lead_to_the_cached_model_too(history):
    first = train(history)
    other = history.execute("r2", "Gen", {}, {"examples": "Examples"})["examples"]
    history.execute(
        "r2", "Trainer", {"examples": [other]}, cached={"model": first["model"]}, state="cached"
    )
    found = descendants(history.store, other)
    assert [(r.artifact.artifact_id, r.maker.run_id) for r in found.rows()] == [
        (other, "r2"),
        (first["model"], "r1"),
    ]


def test_a_resolver_s_outputs_are_made_by_those_who_made_them(history, run_pipeline, tmp_path):
    from penstock import pipeline
    from penstock.artifacts import Examples
    from penstock.components import LatestArtifact
    from penstock.metadata.store import connect, connection_config
    from penstock_support.example_components import MakeExamples, TrainModel

    @pipeline
    def makes():
        return MakeExamples()

    @pipeline(name="makes")
    def resolves():
        latest = LatestArtifact(Examples).with_id("latest")
        return TrainModel(examples=latest.outputs["examples"])

    assert run_pipeline(makes).succeeded
    result = run_pipeline(resolves)
    assert result.succeeded
    model = result.output("TrainModel", "model")
    with connect(connection_config(str(tmp_path / "metadata.sqlite"))) as metadata:
        rows = list(ancestors(metadata.store, model.id).rows())
    assert [row.maker.node.node_id for row in rows] == ["TrainModel", "MakeExamples"]


def test_a_chain_of_three_hundred_models_is_followed_to_its_end(history):
    model = history.execute("r0", "Trainer", {}, {"model": "Model"})["model"]
    for number in range(1, 301):
        model = history.execute(f"r{number}", "Trainer", {"base": [model]}, {"model": "Model"})[
            "model"
        ]
    assert len(ancestors(history.store, model).artifacts()) == 301


def test_thousands_of_artifacts_take_few_calls(history):
    """As many levels as here take the same calls with ten artifacts as with thousands."""
    counts = []
    for width in (2, 700):
        root = history.execute(f"r{width}", "Gen", {}, {"x": "Examples"})["x"]
        level = [root]
        for depth in range(4):
            node = f"Wide{depth}"
            outputs = {f"k{n}": "Examples" for n in range(width)}
            level = list(history.execute(f"r{width}", node, {"x": level}, outputs).values())
        counted = Calls(history.store)
        found = ancestors(counted, level[0])
        assert len(found.artifacts()) == 2 + 3 * width
        assert len(list(found.rows())) == len(found.artifacts())
        below = descendants(counted, root)
        assert len(list(below.rows())) < 9 * width
        assert len(below.artifacts()) == 1 + 4 * width
        counts.append(counted.count)
    assert counts[0] < 60
    assert counts[1] <= counts[0] + 30


def test_an_artifact_is_found_by_id_path_file_and_place_in_a_run(history, monkeypatch):
    ids = train(history)
    [proto] = history.store.get_artifacts_by_id([ids["model"]])
    monkeypatch.chdir(history.folder)
    relative = proto.uri.removeprefix(f"{history.folder}/")
    names = [
        str(ids["model"]),
        proto.uri,
        f"{proto.uri}/",
        relative,
        f"./{relative}/data",
        "r1/Trainer/model",
        "latest/Trainer/model/0",
    ]
    assert {find_artifact(history.store, n).artifact_id for n in names} == {ids["model"]}


def test_the_key_can_be_left_out_where_there_is_one(history):
    ids = train(history)
    assert find_artifact(history.store, "r1/Gen").artifact_id == ids["examples"]


@pytest.mark.parametrize(
    ("named", "text"),
    [
        ("99", "the store has no artifact 99"),
        ("9223372036854775808", "the store has no artifact 9223372036854775808"),
        ("9" * 5000, "the store has no artifact 999"),
        ("nowhere/at/all", "is not an artifact that the store knows. Name it by its id"),
        ("r1/Trainr/model", "run r1 has no node 'Trainr'. Did you mean 'Trainer'?"),
        ("r1/Trainer/modl", "node Trainer (done) has no output 'modl'. Did you mean 'model'?"),
        ("r1/Trainer", "node Trainer (done) has 2 outputs. Choose from: log, model."),
        ("r1/Trainer/model/1", "node Trainer (done) has 1 of 'model'; they count from 0"),
    ],
)
def test_an_artifact_that_is_not_there_is_a_named_error(history, named, text):
    train(history)
    with pytest.raises(LineageError) as raised:
        find_artifact(history.store, named)
    assert text in str(raised.value)


def test_a_run_that_is_not_named_clearly_is_told_so(history):
    history.execute("r1", "A")
    history.execute("r2", "A")
    with pytest.raises(RunError, match="'r' fits several runs: r1, r2"):
        find_artifact(history.store, "r/A/x")
