"""What training and serving do to a penguin is the same."""

from __future__ import annotations

import pytest

from penstock import LocalRunner, load_model, testing
from penstock.models.prediction_files import named
from penstock.models.row_files import predictions_of_file
from penstock.pipelines.penguins.features import LABEL
from penstock.pipelines.penguins.pipeline import penguins
from penstock_support.served_as_trained import assert_served_as_trained

pytest.importorskip("tensorflow_transform", reason="TensorFlow Transform is not installed")


def test_raw_rows_in_files_are_predicted_as_training_saw_them(tmp_path):
    runner = LocalRunner(
        pipeline_root=str(tmp_path / "root"),
        metadata=str(tmp_path / "metadata.sqlite"),
        display=testing.Silent(),
    )
    result = runner.run(penguins, parameters={"train_steps": 50}, to_nodes=["Trainer"])
    assert_served_as_trained(result, "CsvExampleGen", LABEL, tmp_path)
    model = load_model(result)
    [(_, predictions)] = predictions_of_file(model, str(tmp_path / "rows.csv"))
    table = named(predictions, model.signature, "csv")
    assert {"prediction", "probability_Adelie", "probability_Gentoo"} <= set(table.column_names)
