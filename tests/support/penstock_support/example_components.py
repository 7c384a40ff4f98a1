"""Small components and pipelines for tests of the SDK."""

from __future__ import annotations

import enum
import os
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from penstock import BeamOptions, Input, NodeContext, Output, Resolved, component, pipeline
from penstock.artifacts import Examples, Model, ModelBlessing, Schema


class Mode(enum.Enum):
    FAST = "fast"
    SLOW = "slow"


@dataclass(frozen=True)
class TrainArgs:
    num_steps: int = 0
    splits: list[str] = field(default_factory=list)


class Scores(NamedTuple):
    accuracy: float
    label: str


@component
def MakeExamples(examples: Output[Examples], rows: int = 3, names: list[str] | None = None) -> int:
    """Write a file of as many characters as there are rows."""
    Path(examples.uri, "data").write_text("x" * rows)
    examples.split_names = '["train"]'
    return rows


@component
def TrainModel(
    examples: Input[Examples],
    model: Output[Model],
    schema: Input[Schema] | None = None,
    train_args: TrainArgs = TrainArgs(),
    mode: Mode = Mode.FAST,
    rate: float = 0.5,
    verbose: bool = False,
) -> Scores:
    """Write down what it was given."""
    size = len(Path(examples.uri, "data").read_text())
    Path(model.uri, "model").write_text(f"{size} {train_args} {mode} {rate} {verbose} {schema}")
    return Scores(accuracy=size / 10, label="ok")


@component
def Report(value: float, model: Input[Model]) -> str:
    """Return a value that was wired from another node's result."""
    return f"{value} of {model.uri}"


@component
def Join(models: Input[list[Model]]) -> list:  # type: ignore[type-arg]
    """Return the addresses of several artifacts."""
    return [model.uri for model in models]


def double(parameters: dict[str, Any]) -> dict[str, Any]:
    return {"doubled": parameters["base"] * 2, "pairs": {"base": parameters["base"]}}


@component(resolve=double)
def Doubling(
    model: Output[Model], doubled: Resolved[int], pairs: Resolved[dict[str, int]], base: int = 1
) -> None:
    """Write down what its resolve function computed."""
    Path(model.uri, "model").write_text(f"{base} {doubled} {pairs}")


@component(absent_outputs=lambda parameters: set() if parameters["wanted"] else {"schema"})
def Sometimes(
    model: Output[Model], schema: Output[Schema] | None = None, wanted: bool = True
) -> None:
    """Make one of its outputs only when asked to."""


@component
def UsesBeam(model: Output[Model], beam: BeamOptions = BeamOptions()) -> str:
    """Return the Beam arguments that it was given."""
    return " ".join(beam.args)


@component
def Describes(model: Output[Model], context: NodeContext = NodeContext()) -> str:
    """Return what it is told about its node."""
    assert os.path.isdir(context.temporary_directory)
    context.progress(rows=7)
    return f"{context.pipeline_name}/{context.node_id}/{context.execution_id}"


@component
def Fails(model: Output[Model], message: str = "no such luck") -> None:
    """Write half of its output and raise."""
    Path(model.uri, "half").write_text("half")
    print("something to read in the log")
    raise ValueError(message)


@component
def KillsItself(model: Output[Model]) -> None:
    """Write half of its output and die."""
    Path(model.uri, "half").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)


@component
def Crashes(model: Output[Model]) -> None:
    """Say what it reads, write half of its output and crash as a native library does."""
    Path(model.uri, "half").write_text("half")
    print("Reading data.parquet", flush=True)
    os.kill(os.getpid(), signal.SIGSEGV)


@component
def Meets(model: Output[Model], meeting_place: str, me: str, other: str) -> None:
    """Return only when the other is there at the same time."""
    Path(meeting_place, me).touch()
    deadline = time.monotonic() + 60
    while not Path(meeting_place, other).exists():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{other} never came")
        time.sleep(0.01)


@component
def WaitsForever(model: Output[Model], started: str) -> None:
    """Say that it has started, write half of its output, and wait to be stopped."""
    Path(model.uri, "half").write_text("half")
    Path(started).touch()
    signal.pause()


@component
def After(model: Input[Model]) -> str:
    """Come after a node that makes a model."""
    return "after"


@pipeline
def training(rows: int = 3, steps: int = 7, rate: float = 0.25, verbose: bool = False) -> list[Any]:
    """Make examples, train, report."""
    made = MakeExamples(rows=rows, names=["a", "b"])
    trained = TrainModel(
        examples=made.outputs["examples"],
        train_args=TrainArgs(num_steps=steps, splits=["train"]),
        rate=rate,
        verbose=verbose,
    )
    report = Report(value=trained.outputs["accuracy"], model=trained.outputs["model"])
    return [made, trained, report]


@component(preload=("penstock_support.exploding",))
def PreloadsBroken(wanted: bool = True) -> str:
    """Need a module that does not import, or only say so."""
    if wanted:
        from penstock_support import exploding  # noqa: F401 - it does not come so far
    return "done"


@component
def Bless(model: Input[Model], blessing: Output[ModelBlessing]) -> None:
    """Bless a model as an Evaluator does."""
    Path(blessing.uri, "BLESSED").touch()
    blessing.set_int_custom_property("blessed", 1)
    blessing.set_int_custom_property("current_model_id", model.id)


@component
def NameModel(model: Input[Model] | None = None) -> str:
    """Return where a model is."""
    return model.uri if model is not None else "none"
