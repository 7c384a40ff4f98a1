"""DriftMonitor: is what a model sees, and says, distributed as it was?"""

from __future__ import annotations

from penstock import Input, Output, component
from penstock.artifacts import Examples, Model, MonitorReport
from penstock.authoring.component import NodeOutline
from penstock.project.monitors import DriftTests


def _preload(node: NodeOutline) -> tuple[str, ...]:
    """Return what the model is made with: it is asked about the baseline."""
    return node.modules.get("model", ())


@component(preload=_preload)
def DriftMonitor(
    examples: Input[Examples],
    report: Output[MonitorReport],
    baseline: Input[list[Examples]] | None = None,
    model: Input[Model] | None = None,
    tests: DriftTests = DriftTests(),
    prediction_tests: DriftTests = DriftTests(),
    baseline_splits: list[str] | None = None,
    is_training: bool = True,
    most_rows: int = 200_000,
) -> None:
    """Compare the rows of a prediction log with a baseline, feature by feature.

    `examples` are those of a ServingLogGen. With `is_training`, that the model was trained on the
    baseline, a difference is skew, else drift. Predictions are compared with those that the
    baseline has, as the examples of an earlier window, else with what `model` says of its rows. At
    most `most_rows` rows of each side are looked at. Without a baseline nothing is said.

    Raises:
      DataError: the examples are not of a log, or a split is missing.
    """
    from penstock.components.drift_monitor import executor

    executor.monitor(
        examples=examples,
        report=report,
        baseline=baseline or (),
        model=model,
        tests=tests,
        prediction_tests=prediction_tests,
        baseline_splits=baseline_splits,
        is_training=is_training,
        most_rows=most_rows,
    )
