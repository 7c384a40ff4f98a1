"""InfraValidator: a model is loaded and asked in a fresh process, within limits."""

from __future__ import annotations

import json
import os
from typing import Any

import pyarrow as pa
import pytest

from penstock.authoring import artifacts
from penstock.components.infra_validator import executor
from penstock.components.infra_validator.limits import RequestSpec, ValidationSpec
from penstock.data.coding.examples import encode
from penstock.data.records import write_serialized
from penstock.models.saving import save_model

linear_model = pytest.importorskip("sklearn.linear_model", reason="scikit-learn is not installed")
pytest.importorskip("skops", reason="skops is not installed")

ROWS = pa.table({"age": pa.array([1, 2, 3], pa.int64())})


@pytest.fixture
def model(tmp_path) -> Any:
    made = artifacts.Model()
    made.uri = str(tmp_path / "model")
    fitted = linear_model.LinearRegression().fit(ROWS.to_pandas(), [1.0, 2.0, 3.0])
    save_model(fitted, os.path.join(made.uri, "Format-Serving"), example=ROWS)
    return made


@pytest.fixture
def validate(model, tmp_path):
    def run(examples: list[Any] | None = None, **limits: Any) -> Any:
        blessing = artifacts.InfraBlessing()
        blessing.uri = str(tmp_path / "blessing")
        os.makedirs(blessing.uri)
        executor.validate(
            model=model,
            blessing=blessing,
            examples=examples,
            spec=ValidationSpec(num_tries=1, **limits),
            request=RequestSpec(num_examples=2),
        )
        return blessing

    return run


def rows_of(tmp_path, table: pa.Table) -> Any:
    made = artifacts.Examples()
    made.uri = str(tmp_path / "examples")
    made.split_names = json.dumps(["eval"])
    write_serialized(
        str(tmp_path / "examples" / "Split-eval"), "data_tfrecord", encode(table.to_batches()[0])
    )
    return made


def test_a_model_that_answers_is_blessed_as_tfx_blesses(validate):
    blessing = validate()
    assert os.listdir(blessing.uri) == ["INFRA_BLESSED"]
    assert blessing.get_int_custom_property("blessed") == 1
    assert blessing.get_float_custom_property("loading_seconds") > 0


def test_it_is_asked_about_examples(validate, tmp_path):
    assert validate([rows_of(tmp_path, ROWS)]).get_int_custom_property("blessed") == 1


def test_a_model_that_cannot_take_the_examples_is_not_blessed(validate, tmp_path):
    blessing = validate([rows_of(tmp_path, pa.table({"height": [1.5]}))])
    assert os.listdir(blessing.uri) == ["INFRA_NOT_BLESSED"]
    (failure,) = json.loads(blessing.get_string_custom_property("failures"))
    assert "the model needs a column 'age'" in failure


def test_limits_hold(validate):
    blessing = validate(max_memory_mb=1.0)
    (failure,) = json.loads(blessing.get_string_custom_property("failures"))
    assert failure.startswith("The process took")
    assert failure.endswith("and may take 1 MB.")


def test_a_model_that_is_broken_is_not_blessed(validate, model):
    with open(os.path.join(model.uri, "Format-Serving", "model.skops"), "wb") as file:
        file.write(b"nothing")
    assert validate().get_int_custom_property("blessed") == 0
