"""Searching with a train_fn: each trial trains a model with other hyperparameters."""

from __future__ import annotations

import math
import os
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from penstock.artifacts import Examples
from penstock.components.schema_gen.schema_file import read_schema
from penstock.components.trainer.training import data_of, numbers_of, seed_all
from penstock.components.tuner.results import Found
from penstock.components.tuner.space import candidates, read_space
from penstock.data.parallel.processes import Advance, in_processes
from penstock.errors import PenstockError, UserCodeError
from penstock.models.training import Training, trained_model
from penstock.project import user_code


@dataclass(frozen=True)
class Trial:
    """One model: its hyperparameters, its metrics, and why there are none if it failed."""

    number: int
    hyperparameters: Mapping[str, Any]
    metrics: Mapping[str, float]
    failure: str = ""


def search(
    *,
    examples: Sequence[Examples],
    train_fn: str,
    space: Mapping[str, Any],
    trials: int,
    parallel_trials: int,
    objective: str | None,
    direction: str,
    seed: int,
    train_splits: Sequence[str],
    eval_splits: Sequence[str],
    working_directory: str,
    schema_uri: str | None = None,
    module_file: str | None = None,
    module_path: str | None = None,
    parameters: Mapping[str, Any] | None = None,
) -> Found:
    """Train a model for each trial, and return what was found, the best first."""
    tried = candidates(read_space(space), trials, seed)
    schema = read_schema(schema_uri) if schema_uri else None

    def work(number: int, _: Advance) -> Trial:
        function = user_code.load_function(
            "train_fn", module_file=module_file, module_path=module_path, function=train_fn
        )
        training = Training(
            train=data_of(examples, train_splits or ["train"], schema),
            eval=data_of(examples, eval_splits or ["eval"], schema),
            parameters={**(parameters or {}), **tried[number]},
            schema=schema,
            seed=seed,
            log_directory=os.path.join(working_directory, f"trial-{number}"),
        )
        os.makedirs(training.log_directory, exist_ok=True)
        seed_all(seed)
        try:
            trained = trained_model(user_code.run(function, training), function.__name__)
            metrics = numbers_of(trained.metrics, function.__name__)
        except PenstockError as error:
            traceback.print_exc()
            return Trial(number, tried[number], {}, str(error))
        return Trial(number, tried[number], metrics)

    numbers = range(len(tried))
    done = []
    for trial in in_processes(
        work, numbers, named=lambda n: f"run trial {n}", at_most=max(parallel_trials, 1)
    ):
        print(_told(trial))
        done.append(trial)
    return _result(done, _objective(done, objective, train_fn), direction, train_fn)


def _told(trial: Trial) -> str:
    what = ", ".join(f"{name} {value!r}" for name, value in trial.hyperparameters.items())
    metrics = ", ".join(f"{name} {value:.6g}" for name, value in trial.metrics.items())
    return f"Trial {trial.number}: {what}: {trial.failure or metrics or 'no metrics'}"


def _objective(trials: Sequence[Trial], objective: str | None, name: str) -> str:
    """Return the metric that decides: the one asked for, or the only one.

    Raises:
      UserCodeError: all trials failed, or the metric is not among theirs.
    """
    succeeded = [trial for trial in trials if not trial.failure]
    if not succeeded:
        raise UserCodeError(
            f"all {len(trials)} trials failed, the first with: {trials[0].failure}",
            hint="Run the Trainer with these hyperparameters to look closer.",
        )
    known = sorted({metric for trial in succeeded for metric in trial.metrics})
    if objective in known:
        return str(objective)
    if objective is None and len(known) == 1:
        return known[0]
    raise UserCodeError(
        f"{name} returns the metrics {', '.join(known) or 'none'}, and the search needs "
        + (f"{objective}" if objective else "to know which of them decides"),
        hint="Return TrainedModel(model, metrics={...}), and name one: objective=....",
    )


def _result(trials: Sequence[Trial], objective: str, direction: str, name: str) -> Found:
    judged = [trial for trial in trials if math.isfinite(trial.metrics.get(objective, math.nan))]
    if not judged:
        raise UserCodeError(
            f"{objective} of {name} is no finite number in any of {len(trials)} trials"
        )
    sign = 1 if direction == "min" else -1
    judged.sort(key=lambda trial: (sign * trial.metrics[objective], trial.number))
    listed = [
        {"trial_id": str(t.number), "score": t.metrics[objective], **t.hyperparameters}
        for t in judged
    ]
    return Found({"space": [], "values": dict(judged[0].hyperparameters)}, listed)
