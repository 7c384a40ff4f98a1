"""A project that is deployed: its model is as good, in each slice, as its code says."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from penstock import registry
from penstock.operations.delivery import records
from penstock.operations.delivery.deployment import Deploying, DeployStep, Wanted
from penstock.operations.starting import starter_of
from penstock.project.config import Config, read_config

PIPELINE = '''
import json
from pathlib import Path

from penstock import Input, Output, component, pipeline
from penstock.artifacts import Model, ModelBlessing, ModelEvaluation, PushedModel

import quality


@component
def Train(model: Output[Model], rows: int = 100) -> None:
    """Write how good a model is that has seen so many rows."""
    from penstock.models.facts import ModelFacts, write_facts
    from penstock.models.signature import Signature

    if rows < 0:
        raise ValueError(f"there cannot be {rows} rows")
    folder = Path(model.uri, "Format-Serving")
    folder.mkdir(parents=True)
    (folder / "model.json").write_text(json.dumps({**quality.SLICES, "rows": rows}))
    columns = {"inputs": [{"name": "distance", "type": "float64"}], "outputs": []}
    write_facts(str(folder), ModelFacts("lookup", Signature.from_json(columns)))


@component
def Judge(
    model: Input[Model], evaluation: Output[ModelEvaluation], blessing: Output[ModelBlessing]
) -> None:
    """Write an evaluation of what the model is."""
    from penstock.data.records import TFRecordWriter
    from penstock.data.results import evaluation_messages as messages

    values = json.loads(Path(model.uri, "Format-Serving", "model.json").read_text())
    values.pop("rows")
    Path(evaluation.uri).mkdir(parents=True, exist_ok=True)
    with TFRecordWriter(Path(evaluation.uri, "metrics-00000-of-00001.tfrecord")) as writer:
        for name, value in values.items():
            made = messages.MetricsForSlice()
            if name != "Overall":
                key = made.slice_key.single_slice_keys.add(column="airport")
                key.bytes_value = name.encode()
            pair = made.metric_keys_and_values.add()
            pair.key.name = "auc"
            pair.value.double_value.value = value
            pair.confidence_interval.lower_bound.double_value.value = value - 0.01
            pair.confidence_interval.upper_bound.double_value.value = value + 0.01
            writer.write(made.SerializeToString())
    blessing.set_int_custom_property("blessed", int(values["Overall"] > 0.5))


@component(system_type="deploy")
def Push(model: Input[Model], pushed: Output[PushedModel]) -> None:
    """Leave a mark where what serves would be."""
    Path("pushed").touch()


@pipeline
def flights(rows: int = 100):
    train = Train(rows=rows)
    judge = Judge(model=train.outputs["model"])
    push = Push(model=train.outputs["model"])
    return [judge, push]
'''

GOOD = {"Overall": 0.9, "JFK": 0.92, "LGA": 0.88}

CONFIG = """
[pipelines]
flights = "pipeline.py:flights"

[environments.staging]
alias = "candidate"
checks = false
infra = false

[environments.production]
checks = false
infra = false

[environments.production.gates.auc]
at_least = 0.6
not_worse_than = "champion"
"""


def write(folder: Path, more: str = "", slices: dict[str, float] = GOOD) -> Config:
    """Write the project into a folder; `more` is added to its penstock.toml."""
    (folder / "pipeline.py").write_text(PIPELINE)
    (folder / "penstock.toml").write_text(CONFIG + more)
    set_quality(folder, slices)
    return read_config(folder / "penstock.toml")


def set_quality(folder: Path, slices: dict[str, float]) -> None:
    """Change the code that decides how good the model is."""
    (folder / "quality.py").write_text(f"SLICES = {slices!r}\n")


def deploying(config: Config, environment: str = "production", **more: Any) -> Deploying:
    """Return what deploys to an environment, silently, and soon sees that a run has ended."""
    given = {"pause": lambda seconds: time.sleep(min(seconds, 0.2)), **more}
    return Deploying(config, config.environments[environment], starter_of(config), **given)


def wanted(fingerprint: str = "f1", **more: Any) -> Wanted:
    """Return what is to be deployed: the pipeline as it is, under a fingerprint."""
    return Wanted("flights", fingerprint, commit="c1", who="ann", why="because", **more)


def champion(look: Any) -> int | None:
    """Return the version that serves; `look` reads something of the store."""
    return look(registry.read_model, "flights").aliases.get("champion")


def deployments(look: Any, environment: str = "production") -> list[records.Deployment]:
    """Return the deployments to an environment, in their order."""
    return look(records.deployments, environment, "flights")


def deploy_and_die(path: str, fingerprint: str, step: str) -> None:
    """Deploy in this process, and kill it when a step was taken; by a process of its own."""
    from penstock.operations.delivery.deploying import deploy

    def die(taken: DeployStep) -> None:
        if taken.name == step:
            os.kill(os.getpid(), 9)

    config = read_config(Path(path))
    deploy(deploying(config, on_step=die), wanted(fingerprint))


def roll_back_and_die(path: str, step: str) -> None:
    """The same of a rollback."""
    from penstock.operations.delivery.deploying import roll_back

    def die(taken: DeployStep) -> None:
        if taken.name == step:
            os.kill(os.getpid(), 9)

    config = read_config(Path(path))
    roll_back(deploying(config, on_step=die), "flights", who="ann", why="because")
