"""A pipeline to be killed at every step: a driver, several outputs of a node, a push."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from penstock import Input, LocalRunner, Output, Resolved, component, pipeline
from penstock.artifacts import Examples, Model, Schema
from penstock.components import Pusher
from penstock.components.pusher.component import Filesystem, PushDestination, VersionNames
from penstock.testing import KillAt, Silent, Step

MODEL_FILES = {
    "saved_model.pb": "graph",
    "assets/vocabulary": "cash credit",
    "variables/variables.index": "index",
}


def files_of(version: Path) -> dict[str, str]:
    """Return what a version that was pushed has, by its files' names."""
    return {
        str(path.relative_to(version)): path.read_text()
        for path in version.rglob("*")
        if path.is_file()
    }


def twice(parameters: dict[str, Any]) -> dict[str, Any]:
    return {"doubled": parameters["rows"] * 2}


@component(resolve=twice)
def Reads(examples: Output[Examples], doubled: Resolved[int], rows: int = 3) -> None:
    """Write as many characters as its driver said."""
    Path(examples.uri, "data").write_text("x" * doubled)


@component
def Trains(examples: Input[Examples], model: Output[Model], schema: Output[Schema]) -> int:
    """Make three outputs: a model, a schema and a value."""
    for name, text in MODEL_FILES.items():
        path = Path(model.uri, "Format-Serving", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    size = len(Path(examples.uri, "data").read_text())
    Path(schema.uri, "schema.pbtxt").write_text(f"# {size}")
    return size


@pipeline
def pushing(serving: str = ""):
    """Read, train and push."""
    read = Reads()
    trained = Trains(examples=read.outputs["examples"])
    pushed = Pusher(
        model=trained.outputs["model"],
        push_destination=PushDestination(Filesystem(serving)),
        version_names=VersionNames.SEQUENTIAL,
    )
    return [read, trained, pushed]


def runner_in(folder: str | Path, **options: Any) -> LocalRunner:
    return LocalRunner(
        pipeline_root=os.path.join(folder, "root"),
        metadata=os.path.join(folder, "metadata.sqlite"),
        parallelism=2,
        **{"display": Silent(), **options},
    )


def main(folder: str, step: str, node_id: str, who: str, time: str) -> None:
    """Run the pipeline in a folder, to be killed at a step."""
    kill = KillAt(Step[step], node_id, os.getpid() if who == "runner" else None, int(time))
    runner = runner_in(folder, on_step=kill)
    parameters = {"serving": os.path.join(folder, "serving")}
    result = runner.run(pushing, parameters=parameters, raise_on_failure=False)
    print(result.state.value)


if __name__ == "__main__":
    from penstock_support.crash_components import main as run_in_importable_module

    run_in_importable_module(*sys.argv[1:])
