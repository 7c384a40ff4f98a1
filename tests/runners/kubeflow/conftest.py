"""Compiling for Kubeflow, and looking at what comes out."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from penstock.runners.kubeflow.compile.compiling import compile_for_kubeflow
from penstock.runners.kubeflow.contract.task import PodTask
from penstock.runners.kubeflow.contract.texts import OWN, Texts
from penstock_support.kubeflow_pipelines import cluster

PROJECT = Path(__file__).parents[2]


@pytest.fixture
def compiled() -> Any:
    """Compile a pipeline with the options of a profile's table; what is returned is as read."""

    def compile_(pipeline: Any, **options: Any) -> SimpleNamespace:
        profile = options.pop("profile", None) or cluster(**options)
        made = compile_for_kubeflow(pipeline, profile, PROJECT)
        spec, platform = yaml.safe_load_all(made.to_yaml())
        return SimpleNamespace(
            text=made.to_yaml(),
            warnings=made.warnings,
            spec=spec,
            tasks=spec["root"]["dag"]["tasks"],
            containers={
                label.removeprefix("exec-"): executor["container"]
                for label, executor in spec["deploymentSpec"]["executors"].items()
            },
            pods={
                label.removeprefix("exec-"): config
                for label, config in platform["platforms"]["kubernetes"]["deploymentSpec"][
                    "executors"
                ].items()
            },
        )

    return compile_


@pytest.fixture
def pod_task() -> Any:
    """Read what a task and its container are told."""

    def read(made: SimpleNamespace, name: str) -> PodTask:
        flag, text, *_ = made.containers[name]["args"]
        assert flag == "--task"
        own = made.tasks[name].get("inputs", {}).get("parameters", {}).get(OWN)
        return PodTask.from_texts(Texts(text, own["runtimeValue"]["constant"] if own else ""))

    return read
