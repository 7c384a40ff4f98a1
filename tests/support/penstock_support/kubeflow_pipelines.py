"""Pipelines and profiles for tests of what Kubeflow Pipelines is given."""

from __future__ import annotations

from typing import Any

from penstock import Input, Output, component, pipeline
from penstock.artifacts import Examples, Model
from penstock.config import Profile
from penstock.pods import Secret
from penstock.project.kubeflow import KubeflowOptions

IMAGE = f"registry.example/team/taxi@sha256:{'0123456789abcdef' * 4}"
STORE_PASSWORD = Secret("metadata", key="password", env="STORE_PASSWORD")


def cluster(**options: Any) -> Profile:
    """Return a profile for a cluster."""
    given = {"image": IMAGE, "secrets": (STORE_PASSWORD,), **options}
    return Profile(
        name="cluster",
        pipeline_root="s3://artifacts/runs",
        metadata="mysql://penstock:${env:STORE_PASSWORD}@mysql.kubeflow:3306/mlmd",
        kubeflow=KubeflowOptions(**given),
    )


@component
def Count(start: int = 1) -> int:
    """Return a number."""
    return start


@component
def Prepare(examples: Output[Examples], label: str = "", verbose: bool = False) -> None:
    """Make something."""


@component
def Learn(examples: Input[Examples], model: Output[Model], rate: float = 0.5) -> None:
    """Make something of it."""


@component
def Summarize(examples: Input[Examples] | None = None) -> None:
    """Look at what there is."""


@component
def Notify(message: str = "") -> None:
    """Tell somebody."""


def single(make_node: Any) -> Any:
    """Return a pipeline of what a function makes."""

    @pipeline(name="toy")
    def toy() -> Any:
        return make_node()

    return toy


def Filter(**arguments: Any) -> Any:
    """Return a node of TFX's that is a container."""
    from tfx.dsl.component.experimental.container_component import create_container_component
    from tfx.dsl.component.experimental.placeholders import (
        ConcatPlaceholder,
        InputUriPlaceholder,
        InputValuePlaceholder,
        OutputUriPlaceholder,
    )

    read = InputValuePlaceholder if arguments.pop("by_content", False) else InputUriPlaceholder
    make = create_container_component(
        name="Filter",
        image="registry.example/filter:3",
        command=[
            "filter",
            "--from",
            read("examples"),
            ConcatPlaceholder(["--to=", OutputUriPlaceholder("filtered"), "/data"]),
            "--share",
            InputValuePlaceholder("share"),
        ],
        inputs={"examples": Examples},
        outputs={"filtered": Examples},
        parameters={"share": str},
    )
    return make(**arguments)
