"""Resolvers take what is still on disk, as the cache does, and say what they passed over."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import pytest

from penstock import LocalRunner, _tfx, pipeline
from penstock.artifacts import Model
from penstock.components import LatestArtifact, LatestBlessedModel
from penstock.errors import StorageError
from penstock.execution import contents
from penstock.execution.plan import Verdict
from penstock.runners.local import State
from penstock.runners.local.display import PlainLines
from penstock_support import example_components as examples

pytestmark = pytest.mark.core


@pipeline(name="training")
def blessed_training(rows: int = 1):
    """Train a model and bless it."""
    made = examples.MakeExamples(rows=rows)
    trained = examples.TrainModel(examples=made.outputs["examples"])
    return [made, trained, examples.Bless(model=trained.outputs["model"])]


def _consuming(resolver):
    return [resolver, examples.NameModel(model=resolver.outputs["model"])]


@pipeline(name="training")
def of_the_latest():
    """Take the newest model."""
    return _consuming(LatestArtifact(Model).with_id("lookup"))


@pipeline(name="training")
def of_the_latest_blessed():
    """Take the newest blessed model."""
    return _consuming(LatestBlessedModel().with_id("lookup"))


@pipeline(name="training")
def of_tfxs_latest():
    """Take the newest model by TFX's own strategy."""
    resolver = _tfx.Resolver(
        strategy_class=_tfx.LatestArtifactStrategy, model=_tfx.types.Channel(type=Model)
    )
    return _consuming(resolver.with_id("lookup"))


LOOKUPS = [of_the_latest, of_the_latest_blessed, of_tfxs_latest]


@pytest.fixture
def runner(tmp_path):
    """A runner over what `run_pipeline` has made, which prints the lines of nodes into a text."""

    def make(stream):
        return LocalRunner(
            pipeline_root=str(tmp_path / "root"),
            metadata=str(tmp_path / "metadata.sqlite"),
            display=PlainLines(stream),
        )

    return make


@pytest.fixture
def models(run_pipeline):
    """The folders of two models, the older one first."""
    made = [run_pipeline(blessed_training, rows=rows) for rows in (1, 2)]
    return [Path(run.output("TrainModel", "model").uri) for run in made]


def found(run) -> str:
    (value,) = run.outputs("NameModel").values()
    return str(value[0].read())


@pytest.mark.parametrize("lookup", LOOKUPS)
def test_the_newest_is_taken_that_is_there(run_pipeline, models, lookup):
    assert found(run_pipeline(lookup)) == str(models[1])
    shutil.rmtree(models[1])
    assert found(run_pipeline(lookup)) == str(models[0])


def test_what_was_changed_is_not_taken(run_pipeline, models):
    (file, *_) = [path for path in models[1].rglob("*") if path.is_file()]
    file.write_text("other weights")
    assert found(run_pipeline(of_the_latest_blessed)) == str(models[0])


def test_a_model_whose_blessing_is_gone_is_not_blessed(run_pipeline, models):
    blessings = sorted(models[1].parents[2].glob("Bless/blessing/*"), key=lambda p: int(p.name))
    shutil.rmtree(blessings[-1])
    assert found(run_pipeline(of_the_latest_blessed)) == str(models[0])


@pytest.mark.parametrize("lookup", [of_the_latest, of_the_latest_blessed])
def test_where_all_are_gone_there_is_none(run_pipeline, models, lookup):
    for model in models:
        shutil.rmtree(model)
    assert found(run_pipeline(lookup)) == "none"


def test_the_nodes_line_says_what_was_passed_over(runner, models):
    shutil.rmtree(models[1])
    printed = io.StringIO()
    runner(printed).run(of_the_latest_blessed)
    (line,) = [line for line in printed.getvalue().splitlines() if "lookup" in line]
    assert line.endswith(f"passed over, as {models[1]} is gone")


def test_a_plan_says_what_would_be_passed_over(runner, models):
    shutil.rmtree(models[1])
    planned = {node.node_id: node for node in runner(io.StringIO()).plan(of_the_latest_blessed)}
    lookup = planned["lookup"]
    assert lookup.verdict is Verdict.LOOKS_UP
    assert lookup.reasons[-1] == f"passed over, as {models[1]} is gone"
    assert f"model: {models[0]}" in lookup.reasons


def test_a_store_that_cannot_be_asked_is_no_reason_to_take_an_older_one(
    run_pipeline, models, monkeypatch
):
    def unreachable(artifact):
        raise StorageError("the object store cannot be reached")

    monkeypatch.setattr(contents, "found_damage", unreachable)
    run = run_pipeline(of_the_latest_blessed)
    assert run.nodes["lookup"].state is State.FAILED
    assert "the object store cannot be reached" in run.nodes["lookup"].error
