"""Serving transforms a row as training saw it: held against a real transform graph."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from penstock import LocalRunner, testing
from penstock.pipelines.penguins.pipeline import penguins

pytest.importorskip("tensorflow_transform", reason="TensorFlow Transform is not installed")


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    folder = tmp_path_factory.mktemp("penguins")
    runner = LocalRunner(
        pipeline_root=str(folder),
        metadata=str(folder / "metadata.sqlite"),
        display=testing.Silent(),
    )
    return runner.run(penguins, to_nodes=["Transform"])


def test_rows_are_transformed_alike(result):
    testing.assert_transforms_alike(result, rows=10)


def test_rows_that_training_never_saw_are_told(result):
    outputs = {
        "Transform": {
            "graph": result.outputs("Transform")["transform_graph"],
            "examples": result.outputs("CsvExampleGen")["examples"],
        },
        "CsvExampleGen": result.outputs("CsvExampleGen"),
    }
    mixed = SimpleNamespace(outputs=outputs.__getitem__)
    with pytest.raises(AssertionError, match=r"row 0 of train is transformed to another one when"):
        testing.assert_transforms_alike(mixed, rows=2)
