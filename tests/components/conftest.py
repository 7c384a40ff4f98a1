"""A taxi model, once a test run: TFX's own data and module file through Transform and Trainer."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from penstock.authoring import artifacts

TFX = Path(importlib.util.find_spec("tfx").submodule_search_locations[0])
TESTDATA = TFX / "components" / "testdata"


def artifact(kind: type, uri: Path | str, splits: list[str] | None = None) -> Any:
    """Return an artifact whose directory exists."""
    made = kind()
    made.uri = str(uri)
    Path(uri).mkdir(parents=True, exist_ok=True)
    if splits:
        made.split_names = json.dumps(splits)
    return made


@dataclass(frozen=True)
class Transformed:
    """What one Transform wrote."""

    graph: str
    examples: Any
    cache: str
    statistics: tuple[Any, ...]


def transformed_in(directory: Path) -> Transformed:
    kinds = (
        ("pre_schema", artifacts.Schema),
        ("pre_stats", artifacts.ExampleStatistics),
        ("post_schema", artifacts.Schema),
        ("post_stats", artifacts.ExampleStatistics),
        ("anomalies", artifacts.ExampleAnomalies),
    )
    return Transformed(
        graph=str(directory / "graph"),
        examples=artifact(artifacts.Examples, directory / "examples"),
        cache=str(directory / "cache"),
        statistics=tuple(artifact(kind, directory / name) for name, kind in kinds),
    )


@pytest.fixture(scope="session")
def testdata() -> Path:
    """The golden artifacts and module files that come with TFX."""
    return TESTDATA


@pytest.fixture(scope="session")
def make_artifact() -> Any:
    """Make an artifact of a type whose directory exists: make_artifact(type, uri, splits)."""
    return artifact


@pytest.fixture(scope="session")
def taxi_module() -> str:
    return str(TESTDATA / "module_file" / "trainer_module.py")


@pytest.fixture(scope="session")
def taxi_schema() -> str:
    return str(TESTDATA / "schema_gen")


@pytest.fixture(scope="session")
def taxi_examples() -> Any:
    return artifact(artifacts.Examples, TESTDATA / "csv_example_gen", ["train", "eval"])


@pytest.fixture(scope="session")
def run_taxi_transform(taxi_examples, taxi_schema, taxi_module, tmp_path_factory):
    """Run Transform's executor over the taxi data; arguments come before the usual ones."""
    from penstock.components.transform import executor

    def run(**arguments: Any) -> Transformed:
        outputs = transformed_in(tmp_path_factory.mktemp("transform"))
        usual = {
            "examples": [taxi_examples],
            "schema_uri": taxi_schema,
            "transform_graph_uri": outputs.graph,
            "transformed_examples": outputs.examples,
            "updated_cache_uri": outputs.cache,
            "statistics_artifacts": outputs.statistics,
            "module_file": taxi_module,
        }
        executor.transform(**{**usual, **arguments})
        return outputs

    return run


@pytest.fixture(scope="session")
def taxi_transform(run_taxi_transform) -> Transformed:
    return run_taxi_transform()


@pytest.fixture(scope="session")
def taxi_model(taxi_transform, taxi_module, tmp_path_factory) -> Any:
    """A model that TFX's trainer module trained for a few steps; it has a `model_run` beside it."""
    from penstock.components.trainer import executor

    directory = tmp_path_factory.mktemp("trainer")
    model = artifact(artifacts.Model, directory / "model")
    executor.train(
        examples=[taxi_transform.examples],
        model=model,
        model_run_uri=str(directory / "model_run"),
        transform_graph_uri=taxi_transform.graph,
        module_file=taxi_module,
        train_steps=2,
        eval_steps=1,
    )
    return model
