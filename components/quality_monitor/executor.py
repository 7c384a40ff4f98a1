"""The rows of a window beside what is expected of them."""

from __future__ import annotations

from collections.abc import Sequence

from penstock.artifacts import Examples, Model, MonitorReport, Schema
from penstock.components.schema_gen.schema_file import read_schema
from penstock.models.facts import read_facts
from penstock.models.layout import model_directory
from penstock.monitoring.measures import WindowReport, write_report
from penstock.monitoring.quality import (
    Expectation,
    check,
    expected_by_rows,
    expected_by_schema,
)
from penstock.monitoring.served import read_rows, versions_in
from penstock.monitoring.telling import told
from penstock.monitoring.windows import window_of
from penstock.project.monitors import QualityTests


def monitor(
    *,
    examples: Examples,
    report: MonitorReport,
    schema: Schema | None,
    baseline: Sequence[Examples],
    model: Model | None,
    tests: QualityTests,
    most_rows: int,
) -> None:
    """Check the rows of a window, write the report, and say what is an alarm."""
    window = window_of(examples)
    served = read_rows([examples], most_rows=most_rows)
    expectations = _expectations(schema, baseline, tests, most_rows) if served.total else []
    inputs = _inputs(model)
    if inputs is None and schema is None:
        # Nothing says that a label, or a column that nobody sends, is to be asked for.
        inputs = set(served.features.column_names)
    wanted = [e for e in expectations if inputs is None or e.feature in inputs]
    measures = tuple(check(served.features, wanted, tests))
    written = WindowReport(window, served.total, versions_in(served.table), measures)
    write_report(report.uri, written)
    print(told(written))


def _expectations(
    schema: Schema | None, baseline: Sequence[Examples], tests: QualityTests, most_rows: int
) -> list[Expectation]:
    if schema is not None:
        return expected_by_schema(read_schema(schema.uri), tests.environment)
    return expected_by_rows(read_rows(baseline, most_rows=most_rows).table) if baseline else []


def _inputs(model: Model | None) -> set[str] | None:
    """Return the columns that a model takes; None where its files do not say."""
    facts = read_facts(model_directory(model.uri)) if model is not None else None
    if facts is None or facts.signature is None:
        return None
    return {column.name for column in facts.signature.inputs}
