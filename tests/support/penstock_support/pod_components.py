"""Components for tests of pods: what they read, and how they can fail."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from penstock import Input, Output, component, pipeline
from penstock.artifacts import Examples, Model, ModelRun
from penstock.components import LatestArtifact
from penstock_support.resuming_components import FailsAtFirst


@component
def Makes(examples: Output[Examples], rows: int = 3) -> int:
    """Write a file of as many characters as there are rows, and an empty split."""
    for split in ("train", "eval"):
        Path(examples.uri, f"Split-{split}").mkdir()
    Path(examples.uri, "Split-train", "data").write_text("x" * rows)
    examples.split_names = '["train", "eval"]'
    examples.span = 7
    examples.set_int_custom_property("rows", rows)
    examples.set_float_custom_property("rate", 0.25)
    examples.set_json_value_custom_property("listed", [1, {"deep": None}])
    return rows


@component
def Trains(
    examples: Input[Examples],
    model: Output[Model],
    base_model: Input[Model] | None = None,
    bonus: int = 0,
) -> float:
    """Measure the examples, and what an earlier model had measured."""
    # The first proves that an artifact's own type and properties have come, with their types.
    assert (examples.span, examples.get_int_custom_property("rows")) == (7, 3)
    assert examples.get_json_value_custom_property("listed") == [1, {"deep": None}]
    assert Path(examples.uri, "Split-eval").is_dir()
    size = len(Path(examples.uri, "Split-train", "data").read_text()) + bonus
    before = int(Path(base_model.uri, "model").read_text()) if base_model else 0
    Path(model.uri, "model").write_text(str(size + before))
    return (size + before) / 10


@component
def Tells(model: Input[Model], accuracy: float, threshold: float) -> str:
    """Return what came."""
    return f"{Path(model.uri, 'model').read_text()} {accuracy} {threshold}"


@pipeline
def small(rows: int = 3, bonus: int = 0, threshold: float = 0.2):
    """Train on an earlier model, and tell of the new one if it has not learnt enough."""
    from tfx.dsl.experimental.conditionals.conditional import Cond

    earlier = LatestArtifact(Model)
    made = Makes(rows=rows)
    trained = Trains(
        examples=made.outputs["examples"], base_model=earlier.outputs["model"], bonus=bonus
    )
    accuracy = trained.outputs["output"]
    with Cond(accuracy.future()[0].value < 0.5):
        told = Tells(model=trained.outputs["model"], accuracy=accuracy, threshold=threshold)
    return [earlier, made, trained, told]


@pipeline
def contained():
    """A container of its own, and a node that reads what it makes."""
    from tfx.dsl.component.experimental.container_component import create_container_component
    from tfx.dsl.component.experimental.placeholders import OutputUriPlaceholder

    place = OutputUriPlaceholder("model")
    container = create_container_component(
        name="Writes",
        outputs={"model": Model},
        image="registry.example/writes",
        command=["sh", "-c", 'mkdir -p "$0" && printf 42 > "$0/model"', place],
    )()
    return [container, Sizes(model=container.outputs["model"])]


@component
def Sizes(model: Input[Model]) -> int:
    """Return what a model's file says."""
    return int(Path(model.uri, "model").read_text())


@component
def TrainsAndTells(model: Output[Model], model_run: Output[ModelRun]) -> None:
    """Make two outputs, of which one's name begins as the other's."""
    Path(model.uri, "model").write_text("3")
    Path(model_run.uri, "events").write_text("42 %")


@component
def Lists(model: Input[Model]) -> str:
    """Return what is in a model's folder."""
    return " ".join(sorted(os.listdir(model.uri)))


@pipeline
def named_alike():
    """A node that takes one of two outputs whose names begin alike."""
    made = TrainsAndTells()
    return [made, Lists(model=made.outputs["model"])]


@component
def Misbehaves(model: Output[Model], folder: str, token: str = "") -> None:
    """Fail, wait or work, as the file `manner` in a folder says."""
    Path(model.uri, "half").touch()
    print(f"it begins with {token}", flush=True)
    Path(folder, "begun").touch()
    manner = Path(folder, "manner").read_text()
    if manner == "fail":
        raise ValueError(f"no luck with {token}")
    while manner == "wait":
        signal.pause()
    if manner == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    os.remove(Path(model.uri, "half"))
    Path(model.uri, "model").write_text("made")


@pipeline
def misbehaving(folder: str):
    """One node, which is given a secret."""
    return [Misbehaves(folder=folder, token="${env:CANARY}")]


def misbehaving_with(**options: Any) -> Any:
    """Return a pipeline of one node with options."""

    @pipeline(name="misbehaving")
    def misbehaving_so(folder: str):
        return [Misbehaves(folder=folder).with_options(**options)]

    return misbehaving_so


def failing_at_first(**options: Any) -> Any:
    """Return a pipeline of a node that fails twice, with options."""

    @pipeline(name="failing")
    def failing(folder: str):
        return [FailsAtFirst(folder=folder, times=2).with_options(**options)]

    return failing


@pipeline
def lendable(rows: int = 3, bonus: int = 0):
    """Two nodes, both of which Kubeflow's cache can stand in for."""
    made = Makes(rows=rows)
    return [made, Trains(examples=made.outputs["examples"], bonus=bonus)]


@component
def Counts(examples: Input[Examples]) -> int:
    """Return how many rows examples say they have."""
    return int(examples.get_int_custom_property("rows"))


def one_after_another(**options: Any) -> Any:
    """Return a pipeline of four nodes: the second misbehaves, and only the last waits for it."""

    @pipeline(name="one-after-another")
    def one_after_another_so(folder: str):
        made = Makes()
        second = Misbehaves(folder=folder, token="${env:CANARY}").with_options(**options)
        second.add_upstream_node(made)
        third = Sizes(model=second.outputs["model"])
        other = Counts(examples=made.outputs["examples"]).with_id("Other")
        return [made, second, third, other]

    return one_after_another_so


@pipeline
def trying_in_between(folder: str):
    """A node that fails twice, between two that do not."""
    made = Makes()
    second = FailsAtFirst(folder=folder, times=2).with_options(retries=2)
    second.add_upstream_node(made)
    last = Counts(examples=made.outputs["examples"])
    last.add_upstream_node(second)
    return [made, second, last]


@pipeline
def counted():
    """A node, and one that follows it."""
    made = Makes()
    return [made, Counts(examples=made.outputs["examples"])]
