"""Components that fail when they are told to, and count how often they have run."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from penstock import Input, LocalRunner, Output, _tfx, component, pipeline
from penstock.artifacts import Model
from penstock.testing import Silent, Step


def runs_of(folder: str | Path, name: str) -> int:
    """Return how often a node's body has begun."""
    return len(list(Path(folder, "counts").glob(f"{name}.*")))


def _count(folder: str, name: str) -> int:
    os.makedirs(Path(folder, "counts"), exist_ok=True)
    number = runs_of(folder, name)
    Path(folder, "counts", f"{name}.{number}").touch()
    return number + 1


@component
def First(model: Output[Model], folder: str, rows: int = 1) -> None:
    """Make a model."""
    _count(folder, "First")
    Path(model.uri, "model").write_text("x" * rows)


@component
def Second(made: Output[Model], model: Input[Model], folder: str, token: str = "") -> None:
    """Fail as long as there is a file `broken`, wait as long as there is one `waiting`."""
    Path(made.uri, "half").touch()
    _count(folder, "Second")
    if Path(folder, "broken").exists():
        raise ValueError("it is broken")
    while Path(folder, "waiting").exists():
        time.sleep(0.01)
    os.remove(Path(made.uri, "half"))
    Path(made.uri, "model").write_text(Path(model.uri, "model").read_text() * 2)


@component
def Third(model: Input[Model], folder: str) -> int:
    """Measure a model."""
    _count(folder, "Third")
    return len(Path(model.uri, "model").read_text())


@component
def FailsAtFirst(model: Output[Model], folder: str, times: int) -> None:
    """Fail so many times, then work."""
    if _count(folder, "FailsAtFirst") <= times:
        Path(model.uri, "half").touch()
        raise ValueError("not yet")
    Path(model.uri, "model").touch()


@component
def Sleeps(model: Output[Model], deaf: bool = False) -> None:
    """Sleep until a signal comes; a deaf one ignores the polite one."""
    if deaf:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    Path(model.uri, "half").touch()
    while True:
        signal.pause()


@component
def Cleans(folder: str) -> None:
    """Leave a note that it ran."""
    _count(folder, "Cleans")


@component
def Uses(folder: str, model: Input[Model] | None = None) -> bool:
    """Return whether it was given a model."""
    _count(folder, "Uses")
    return model is not None


class ReportsFailure(_tfx.BaseExecutor):
    """Fails as TFX's executors may: by a code in what it returns."""

    def Do(self, input_dict, output_dict, exec_properties):
        _count(exec_properties["folder"], "Reporting")
        output = _tfx.execution_result_pb2.ExecutorOutput()
        output.execution_result.code = 3
        output.execution_result.result_message = "the cluster is full"
        return output


class _ReportingSpec(_tfx.types.ComponentSpec):
    INPUTS: ClassVar = {}
    OUTPUTS: ClassVar = {}
    PARAMETERS: ClassVar = {"folder": _tfx.types.component_spec.ExecutionParameter(type=str)}


class Reporting(_tfx.BaseComponent):
    """A component written with TFX's own classes."""

    SPEC_CLASS = _ReportingSpec
    EXECUTOR_SPEC = _tfx.ExecutorClassSpec(ReportsFailure)

    def __init__(self, folder: str) -> None:
        super().__init__(_ReportingSpec(folder=folder))


@pipeline
def three(folder: str = "", rows: int = 1, token: str = ""):
    """Three nodes in a row."""
    first = First(folder=folder, rows=rows)
    second = Second(model=first.outputs["model"], folder=folder, token=token)
    return [first, second, Third(model=second.outputs["made"], folder=folder)]


@pipeline
def other(folder: str = ""):
    """Another pipeline."""
    return First(folder=folder)


def runner_in(folder: str | Path, **options: Any) -> LocalRunner:
    defaults = {
        "pipeline_root": os.path.join(folder, "root"),
        "metadata": os.path.join(folder, "metadata.sqlite"),
        "parallelism": 2,
        "display": Silent(),
    }
    return LocalRunner(**{**defaults, **options})


class OnlyHere:
    """Passes steps to a function that workers do not get."""

    def __init__(self, function: Callable[[Step, str], None] | None) -> None:
        self.function = function

    def __call__(self, step: Step, node_id: str) -> None:
        if self.function is not None:
            self.function(step, node_id)

    def __reduce__(self) -> tuple[Any, ...]:
        return (OnlyHere, (None,))


def main(folder: str, given: str = "plain") -> None:
    """Run three nodes and print what became of them; with a `secret`, a node is given one."""
    os.environ["RESUMING_TOKEN"] = "a-token-that-nobody-sees"
    token = "${env:RESUMING_TOKEN}" if given == "secret" else ""
    parameters = {"folder": folder, "rows": 5, "token": token}
    result = runner_in(folder).run(three, parameters=parameters, raise_on_failure=False)
    print(result.state.value)


if __name__ == "__main__":
    from penstock_support.resuming_components import main as run_in_importable_module

    run_in_importable_module(*sys.argv[1:])
