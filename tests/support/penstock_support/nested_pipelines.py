"""Pipelines in a pipeline: one without inputs, and one with a condition that holds another."""

from __future__ import annotations

from typing import Any

from penstock import Input, _tfx, component, with_options
from penstock.artifacts import Model
from penstock_support import example_components as examples


@component
def Last(model: Input[Model], report: str) -> str:
    """Return where the model is, and what was reported."""
    return f"{model.uri}: {report}"


def making(rows: int) -> Any:
    """Return a pipeline that takes nothing."""
    made = with_options(examples.MakeExamples(rows=rows), cache=False)
    return _tfx.Pipeline(
        "making",
        components=[made],
        outputs={"examples": made.outputs["examples"], "rows": made.outputs["output"]},
    )


def training(taken: Any) -> Any:
    """Return a pipeline that trains with the examples that it takes."""
    from tfx.orchestration.pipeline import PipelineInputs

    inputs = PipelineInputs({"examples": taken})
    trained = examples.TrainModel(examples=inputs["examples"])
    return _tfx.Pipeline(
        "training",
        components=[trained],
        inputs=inputs,
        outputs={"model": trained.outputs["model"], "accuracy": trained.outputs["accuracy"]},
    )


def deciding(taken: Any) -> Any:
    """Return a pipeline that has one that trains."""
    from tfx.orchestration.pipeline import PipelineInputs

    inputs = PipelineInputs({"examples": taken})
    trained = training(inputs["examples"])
    report = examples.Report(
        value=trained.outputs["accuracy"].future()[0].value, model=trained.outputs["model"]
    )
    return _tfx.Pipeline(
        "deciding",
        components=[trained, report],
        inputs=inputs,
        outputs={"model": trained.outputs["model"], "report": report.outputs["output"]},
    )


def nested(root: str, rows: int = 2) -> Any:
    """Return a pipeline of pipelines, which trains if there is more than one row."""
    from tfx.dsl.experimental.conditionals import conditional

    made = making(rows)
    with conditional.Cond(made.outputs["rows"].future()[0].value > 1):
        decided = deciding(made.outputs["examples"])
    last = Last(model=decided.outputs["model"], report=decided.outputs["report"].future()[0].value)
    return _tfx.Pipeline("outer", root, components=[made, decided, last], enable_cache=True)
