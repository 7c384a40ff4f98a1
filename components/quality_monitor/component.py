"""QualityMonitor: is what a model is asked what it should be?"""

from __future__ import annotations

from penstock import Input, Output, component
from penstock.artifacts import Examples, Model, MonitorReport, Schema
from penstock.project.monitors import QualityTests


@component
def QualityMonitor(
    examples: Input[Examples],
    report: Output[MonitorReport],
    schema: Input[Schema] | None = None,
    baseline: Input[list[Examples]] | None = None,
    model: Input[Model] | None = None,
    tests: QualityTests = QualityTests(),
    most_rows: int = 200_000,
) -> None:
    """Check the rows of a prediction log for missing values, and for those that should not be.

    `examples` are those of a ServingLogGen. What is expected, `schema` says, else the rows of
    `baseline`; of both only what the signature of `model` takes counts, where there is one. At most
    `most_rows` rows are looked at.

    Raises:
      DataError: the examples are not of a log.
    """
    from penstock.components.quality_monitor import executor

    executor.monitor(
        examples=examples,
        report=report,
        schema=schema,
        baseline=baseline or (),
        model=model,
        tests=tests,
        most_rows=most_rows,
    )
