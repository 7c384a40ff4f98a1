"""The tables `environments` of penstock.toml: where pipelines are deployed to, and what it takes.

[environments.staging]
profile = "staging"
alias = "candidate"

[environments.production]
profile = "production"
needs = ["staging"]                 # what was promoted there, by fingerprint
approval = true                     # penstock ci approve

[environments.production.gates.auc]
at_least = 0.9
not_worse_than = "champion"         # beyond noise, also in each slice

[environments.production.canary.flights]    # parameters of a run on a sample, before all else
data_root = "samples/flights"

[environments.production.schedules.flights] # on Kubeflow
cron = "0 6 * * 1"
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from penstock.errors import ConfigError, ParameterError, RegistryError, suggestion
from penstock.project import cron
from penstock.project.intervals import parse_interval
from penstock.project.model_names import check_alias, check_model_name
from penstock.project.tables import read_named_tables


@dataclass(frozen=True)
class MetricGate:
    """What a metric of the new model has to be.

    `better_than` and `not_worse_than` name an alias: the difference to its version must be greater
    than the noise, or not less than minus the noise. Noise is what the confidence intervals of both
    evaluations allow, or `tolerance`, whichever is more; one of them has to be there. With `slices`
    no slice may be worse than that version's either. `lower_is_better` turns all around.
    """

    at_least: float | None = None
    at_most: float | None = None
    better_than: str = ""
    not_worse_than: str = ""
    tolerance: float | None = None
    slices: bool = True
    lower_is_better: bool = False

    @property
    def reference(self) -> str:
        """The alias whose version is compared with, "" for none."""
        return self.better_than or self.not_worse_than


@dataclass(frozen=True)
class ScheduleOptions:
    """When a deployed pipeline runs on Kubeflow: by `cron`, or `every` so often, as "6h"."""

    cron: str = ""
    every: str = ""
    concurrency: int = 1
    catch_up: bool = False
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Environment:
    """Where pipelines are deployed to, and what it takes to get there.

    `needs` are environments that must have what is to come here. `models` has the registered model
    of each pipeline, by default one of the pipeline's name, "" for a pipeline that makes none,
    and `model_nodes` the node that makes it, where several make models;
    `alias` is what stands for the version that is deployed. `checks` asks for `penstock ci check`
    of the same fingerprint, `blessing` for the Evaluator's, `infra` for a model that loads and
    answers in a fresh process, `signature` for columns as those of the version before. `canary` has
    parameters of a run that comes before all else. `image` is a repository: where it is named, the
    image is built and pushed when its inputs have changed.
    """

    profile: str = ""
    needs: tuple[str, ...] = ()
    approval: bool = False
    pipelines: tuple[str, ...] = ()
    models: Mapping[str, str] = field(default_factory=dict)
    model_nodes: Mapping[str, str] = field(default_factory=dict)
    alias: str = "champion"
    gates: Mapping[str, MetricGate] = field(default_factory=dict)
    checks: bool = True
    blessing: bool = True
    infra: bool = True
    signature: bool = True
    canary: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    schedules: Mapping[str, ScheduleOptions] = field(default_factory=dict)
    image: str = ""
    name: str = ""

    def model_of(self, pipeline: str) -> str:
        """Return the registered model of a pipeline, "" where it makes none."""
        return self.models.get(pipeline, pipeline)


def read_environments(path: str, tables: Mapping[str, Any]) -> dict[str, Environment]:
    """Return the environments of penstock.toml.

    Raises:
      ConfigError: a key is unknown, a value is not what is asked for, or two do not fit.
    """
    environments = read_named_tables(
        Environment, tables, group="environments", noun="an environment", path=path
    )
    for environment in environments.values():
        _check(environment, environments, path)
    return environments


def _check(environment: Environment, others: Mapping[str, Environment], path: str) -> None:
    key = f"environments.{environment.name}"
    for needed in environment.needs:
        if needed not in others:
            raise ConfigError(
                f"there is no environment {needed!r}",
                path=path,
                key=f"{key}.needs",
                hint=suggestion(needed, others, noun="environment"),
            )
    if environment.name in _needed(environment, others):
        raise ConfigError("an environment cannot need itself", path=path, key=f"{key}.needs")
    _check_model_names(environment, path)
    for metric, gate in environment.gates.items():
        where = f"{key}.gates.{metric}"
        for option in ("at_least", "at_most", "tolerance"):
            number = getattr(gate, option)
            if number is not None and not math.isfinite(number):
                raise ConfigError(
                    f"expected a finite number, got {number}", path=path, key=f"{where}.{option}"
                )
        if gate.tolerance is not None and gate.tolerance < 0:
            raise ConfigError(
                f"expected 0 or more, got {gate.tolerance}", path=path, key=f"{where}.tolerance"
            )
        if gate.better_than and gate.not_worse_than:
            raise ConfigError(
                "expected better_than or not_worse_than, got both", path=path, key=where
            )
        if gate.at_least is None and gate.at_most is None and not gate.reference:
            raise ConfigError(
                "the gate asks for nothing",
                path=path,
                key=where,
                hint='Write at_least, at_most, better_than or not_worse_than = "champion".',
            )
    for pipeline, schedule in environment.schedules.items():
        if bool(schedule.cron) == bool(schedule.every):
            raise ConfigError(
                "expected either cron or every", path=path, key=f"{key}.schedules.{pipeline}"
            )
        try:
            if schedule.cron:
                cron.parse(schedule.cron)
            else:
                parse_interval(schedule.every)
        except ParameterError as error:
            raise ConfigError(
                error.message,
                path=path,
                key=f"{key}.schedules.{pipeline}.{'cron' if schedule.cron else 'every'}",
                hint=error.hint,
            ) from None


def _check_model_names(environment: Environment, path: str) -> None:
    """Check names now, which would else be refused after all that comes before promoting."""
    named: list[tuple[str, str, Callable[[str], str]]] = [("alias", environment.alias, check_alias)]
    for pipeline, model in environment.models.items():
        if model:
            named.append((f"models.{pipeline}", model, check_model_name))
    for metric, gate in environment.gates.items():
        for option in ("better_than", "not_worse_than"):
            if alias := getattr(gate, option):
                named.append((f"gates.{metric}.{option}", alias, check_alias))
    for option, name, check in named:
        try:
            check(name)
        except RegistryError as error:
            key = f"environments.{environment.name}.{option}"
            raise ConfigError(error.message, path=path, key=key, hint=error.hint) from None


def _needed(environment: Environment, others: Mapping[str, Environment]) -> set[str]:
    """Return all that an environment needs, directly or not."""
    waiting, needed = list(environment.needs), set[str]()
    while waiting:
        name = waiting.pop()
        if name not in needed and name in others:
            needed.add(name)
            waiting += others[name].needs
    return needed
