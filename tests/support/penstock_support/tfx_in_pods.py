"""A pipeline of TFX's own components for pods."""

from __future__ import annotations

from pathlib import Path

from tfx import v1 as tfx

TESTDATA = Path(tfx.__file__).parents[1] / "components" / "testdata" / "external" / "csv"


def taxi() -> tfx.dsl.Pipeline:
    """Read TFX's taxi rides and describe them."""
    examples = tfx.components.CsvExampleGen(input_base=str(TESTDATA))
    statistics = tfx.components.StatisticsGen(examples=examples.outputs["examples"])
    return tfx.dsl.Pipeline("taxi", pipeline_root="", components=[examples, statistics])
