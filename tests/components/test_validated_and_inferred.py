"""InfraValidator, BulkInferrer and Pusher in a run, with a model of scikit-learn."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from penstock import load_model
from penstock.data.records import read_record_batches, record_files
from penstock.models.warmup import warmup_rows
from penstock.runners.local import State

pytest.importorskip("skops", reason="skops is not installed")

from penstock_support.serving_pipeline import people  # where skops is


@pytest.fixture
def result(run_pipeline: Any, tmp_path: Path) -> Any:
    (tmp_path / "data").mkdir()
    rows = "".join(f"{age},{'yes' if age > 50 else 'no'}\n" for age in range(18, 90))
    (tmp_path / "data" / "people.csv").write_text("age,stays\n" + rows)
    return run_pipeline(
        people, data=str(tmp_path / "data"), push_directory=str(tmp_path / "serving")
    )


def test_what_is_pushed_has_warm_up_requests_and_rows_get_their_predictions(
    result: Any, tmp_path: Path
):
    assert {name: node.error for name, node in result.nodes.items() if node.error} == {}
    assert {node.state for node in result.nodes.values()} == {State.DONE}
    [version] = (tmp_path / "serving").glob("[0-9]*")
    rows = warmup_rows(str(version))
    assert (rows.num_rows, rows.schema.names) == (3, ["age"])
    assert load_model(str(tmp_path / "serving")).predict(rows).num_rows == 3

    predicted = result.output("BulkInferrer", "output_examples")
    assert json.loads(predicted.split_names) == ["eval", "train"]
    batches = read_record_batches(record_files(f"{predicted.uri}/Split-eval"))
    given = [row for batch in batches for row in batch.to_pylist()]
    assert given
    for row in given:
        likeliest = row["labels"][row["scores"].index(max(row["scores"]))]
        assert likeliest == row["stays"][0] or abs(row["age"][0] - 50) < 5
