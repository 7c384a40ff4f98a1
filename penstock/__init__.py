"""Penstock: component pipelines for TFX and Kubeflow users.

Names are loaded when they are first used, so that `import penstock` costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from penstock.authoring.annotations import Input, Output, Resolved
    from penstock.authoring.beam import BeamOptions
    from penstock.authoring.component import component
    from penstock.authoring.for_each import ForEach
    from penstock.authoring.node_context import NodeContext
    from penstock.authoring.options import with_options
    from penstock.authoring.outputs import Cond
    from penstock.authoring.pipeline import pipeline
    from penstock.errors import PenstockError
    from penstock.ir import compile_pipeline
    from penstock.project.clusters import RayOptions, SparkOptions
    from penstock.project.limits import RunLimit
    from penstock.project.pods import PodOptions
    from penstock.project.retrying import Retries
    from penstock.runners.local import LocalRunner, RunResult
    from penstock.serving.references import load_model

__version__ = "0.1.0"

_HOMES = {
    "BeamOptions": "penstock.authoring.beam",
    "Cond": "penstock.authoring.outputs",
    "ForEach": "penstock.authoring.for_each",
    "Input": "penstock.authoring.annotations",
    "LocalRunner": "penstock.runners.local",
    "NodeContext": "penstock.authoring.node_context",
    "Output": "penstock.authoring.annotations",
    "PenstockError": "penstock.errors",
    "PodOptions": "penstock.pods",
    "RayOptions": "penstock.clusters",
    "Resolved": "penstock.authoring.annotations",
    "Retries": "penstock.project.retrying",
    "RunLimit": "penstock.runners.local",
    "RunResult": "penstock.runners.local",
    "SparkOptions": "penstock.clusters",
    "compile_pipeline": "penstock.ir",
    "component": "penstock.authoring.component",
    "load_model": "penstock.serving.references",
    "pipeline": "penstock.authoring.pipeline",
    "with_options": "penstock.authoring.options",
}

__all__ = [
    "BeamOptions",
    "Cond",
    "ForEach",
    "Input",
    "LocalRunner",
    "NodeContext",
    "Output",
    "PenstockError",
    "PodOptions",
    "RayOptions",
    "Resolved",
    "Retries",
    "RunLimit",
    "RunResult",
    "SparkOptions",
    "compile_pipeline",
    "component",
    "load_model",
    "pipeline",
    "with_options",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'penstock' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
