"""PerformanceMonitor: how good were the predictions, and whom were they good for?"""

from __future__ import annotations

from typing import Any

from penstock import Input, NodeContext, Output, Resolved, component
from penstock.artifacts import Examples, Model, ModelEvaluation, MonitorReport
from penstock.authoring.component import NodeOutline
from penstock.project.monitors import FairnessTests, Labels, PerformanceTests


def _preload(node: NodeOutline) -> tuple[str, ...]:
    """Return what the model is made with: it is asked about the baseline."""
    return node.modules.get("model", ())


def resolve(parameters: dict[str, Any]) -> dict[str, Any]:
    """Return the fingerprint of the labels that have come, which changes with them."""
    from penstock.monitoring.labels import labels_fingerprint

    return {"labels_fingerprint": labels_fingerprint(parameters["labels"])}


@component(resolve=resolve, preload=_preload)
def PerformanceMonitor(
    examples: Input[Examples],
    report: Output[MonitorReport],
    evaluation: Output[ModelEvaluation],
    labels: Labels | None = None,
    baseline: Input[list[Examples]] | None = None,
    model: Input[Model] | None = None,
    baseline_splits: list[str] | None = None,
    tests: PerformanceTests = PerformanceTests(),
    fairness: FairnessTests = FairnessTests(),
    labels_fingerprint: Resolved[str] = "",
    context: NodeContext = NodeContext(),
) -> None:
    """Evaluate what a model predicted in a window, as far as labels have come.

    `examples` are those of a ServingLogGen. Rows without a label wait, and are counted; when more
    labels come the node is no longer the same, and judges the window again. Metrics and slices are
    the Evaluator's, and so is `evaluation`. With `model` and `baseline`, whose `baseline_splits`
    (by default `eval`) have the label, metrics are held against those of the baseline, and it is
    estimated how good predictions without labels are likely to be. `fairness` compares groups of
    rows with each other, with labels and without.

    Raises:
      DataError: the examples are not of a log, or labels cannot be read or mean nothing.
    """
    from penstock.components.performance_monitor import executor

    executor.monitor(
        examples=examples,
        report=report,
        evaluation=evaluation,
        labels=labels,
        baseline=baseline or (),
        model=model,
        baseline_splits=baseline_splits,
        tests=tests,
        fairness=fairness,
        folder=context.temporary_directory,
    )
    if labels_fingerprint:
        report.set_string_custom_property("labels_fingerprint", labels_fingerprint)
