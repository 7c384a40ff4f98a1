"""The models of flights in each framework, trained on some made-up flights."""

from __future__ import annotations

import importlib.util
import random
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from penstock.components.trainer import training
from penstock.data.coding.examples import encode
from penstock.data.records import write_serialized
from penstock.models import Training, TrainingData, load_model
from penstock.pipelines.flights.frameworks import models, pipeline
from penstock.pipelines.flights.frameworks.features import network_features, tree_features
from penstock_support.raw_rows import predictions_by_kind

FRAMEWORKS = ("keras", "lightgbm", "sklearn", "torch", "xgboost")
ROWS = 600


@pytest.fixture(scope="module")
def flights() -> pa.Table:
    draw = np.random.default_rng(1)
    delay = draw.integers(-20, 120, ROWS)
    numbers = ("temp", "dewp", "humid", "wind_speed", "precip", "pressure", "visib")
    return pa.table(
        {
            "arrives_late": pa.array((delay > 15).astype(np.int64)),
            "dep_delay": pa.array(delay, pa.int64()),
            "year": pa.array([2013] * ROWS, pa.int64()),
            "plane_year": pa.array(
                draw.integers(1990, 2013, ROWS), pa.int64(), mask=draw.random(ROWS) < 0.2
            ),
            "sched_dep_time": pa.array(draw.integers(5, 23, ROWS) * 100, pa.int64()),
            "sched_arr_time": pa.array(draw.integers(0, 23, ROWS) * 100 + 30, pa.int64()),
            "distance": pa.array(draw.integers(100, 3000, ROWS), pa.int64()),
            "hour": pa.array(draw.integers(5, 23, ROWS), pa.int64()),
            "weekday": pa.array(draw.integers(1, 8, ROWS), pa.int64()),
            "seats": pa.array(draw.integers(20, 300, ROWS), pa.int64()),
            **{name: pa.array(draw.normal(size=ROWS), pa.float32()) for name in numbers},
            **{
                name: pa.array(draw.choice(["A", "B", "C"], ROWS).tolist())
                for name in ("carrier", "origin", "dest", "manufacturer")
            },
        }
    )


@pytest.fixture(scope="module")
def data(flights, tmp_path_factory) -> TrainingData:
    folder = str(tmp_path_factory.mktemp("flights"))
    files = write_serialized(folder, "data_tfrecord", encode(flights.to_batches()[0]))
    return TrainingData(tuple(files))


def is_installed(framework: str) -> bool:
    return importlib.util.find_spec(framework) is not None


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_model_is_trained_saved_and_tells_late_flights(framework, data, flights, tmp_path):
    if not is_installed(framework):
        pytest.skip(f"{framework} is not installed here")
    random.seed(0)
    given = Training(data, data, parameters={"rounds": 20}, seed=1)
    trained = getattr(models, f"{framework}_model")(given)
    training.save(trained, data, str(tmp_path))
    predicted = load_model(str(tmp_path)).predict(flights)["prediction"].to_numpy()
    assert (predicted == flights["arrives_late"].to_numpy()).mean() > 0.9


def probabilities(model: Any, matrix: Any) -> Any:
    """Return what a model itself says of features, whatever its framework."""
    if hasattr(model, "predict_proba"):
        return model.predict_proba(matrix)[:, 1]
    if hasattr(model, "state_dict"):
        import torch

        model.eval()
        with torch.no_grad():
            logits = model(torch.from_numpy(matrix.astype(np.float32)))
        return torch.sigmoid(logits).numpy()[:, 0]
    return model.predict(matrix.astype(np.float32), verbose=0).reshape(-1)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_raw_rows_in_files_are_predicted_as_training_sees_them(framework, data, flights, tmp_path):
    if not is_installed(framework):
        pytest.skip(f"{framework} is not installed here")
    trained = getattr(models, f"{framework}_model")(
        Training(data, data, parameters={"rounds": 5}, seed=1)
    )
    training.save(trained, data, str(tmp_path / "model"))
    expected = probabilities(trained.model, trained.features.matrix(data.as_arrow()))
    model = load_model(str(tmp_path / "model"))
    rows = flights.drop(["arrives_late"])
    for kind, predicted in predictions_by_kind(model, rows, tmp_path).items():
        given = [row[1] for row in predicted["probabilities"].to_pylist()]
        np.testing.assert_allclose(given, expected, rtol=1e-4, atol=1e-6, err_msg=kind)


def test_networks_see_no_missing_values(flights):
    assert not np.isnan(network_features.fit(flights).matrix(flights)).any()


def test_trees_see_which_values_are_missing(flights):
    fitted = tree_features.fit(flights)
    age = fitted.matrix(flights)[:, fitted.outputs.index("plane_age")]
    assert np.isnan(age).tolist() == flights["plane_year"].is_null().to_pylist()


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_each_framework_has_a_pipeline_to_the_push(framework):
    definition = getattr(pipeline, framework)
    nodes = {node.id for node in definition.build(pipeline_root="unused").components}
    assert definition.name == f"flights_{framework}"
    assert {"MergeTables", "Trainer", "Evaluator", "InfraValidator", "Pusher"} <= nodes
    assert not nodes & {"Transform", "StatisticsGen", "ExampleValidator"}
