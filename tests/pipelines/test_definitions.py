"""The example pipelines as they are defined: their nodes, and what importing them costs."""

from __future__ import annotations

import subprocess
import sys

import pytest

from penstock.pipelines.flights.pipeline import flights
from penstock.pipelines.penguins.pipeline import penguins

pytestmark = pytest.mark.core

HEAVY = ("tensorflow", "apache_beam", "pandas", "tensorflow_transform", "tfx.components")


def node_ids(definition) -> set[str]:
    return {node.id for node in definition.build(pipeline_root="unused").components}


def test_flights_goes_from_the_tables_to_a_pushed_model():
    assert node_ids(flights) == {
        "NycFlights",
        "MergeTables",
        "ParquetExampleGen",
        "StatisticsGen",
        "ImportSchemaGen",
        "previous_statistics",
        "ExampleValidator",
        "Transform",
        "Trainer",
        "latest_blessed_model",
        "Evaluator",
        "Pusher",
    }


def test_penguins_goes_from_csv_to_a_pushed_model():
    assert node_ids(penguins) >= {"PenguinsCsv", "CsvExampleGen", "Transform", "Pusher"}


@pytest.mark.parametrize("definition", [flights, penguins])
def test_every_parameter_has_a_default(definition):
    assert not definition.required


def test_defining_the_pipelines_loads_nothing_heavy():
    code = (
        "import sys, penstock.pipelines.flights.pipeline, penstock.pipelines.penguins.pipeline\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    shown = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True
    )
    assert shown.stdout.strip() == "[]"
