"""penstock.toml: the pipelines of a project, and the profiles under which they run.

    default_profile = "local"

    [pipelines]
    taxi = "taxi/pipeline.py:taxi"              # file:function, or package.module:function;
                                                # the file alone where it has but one

    [profiles.local]
    pipeline_root = ".penstock"                 # every pipeline gets a folder of its own in it
    metadata = "mysql://penstock:${env:STORE_PASSWORD}@db.example/mlmd"
    beam_args = ["--runner=DirectRunner"]
    parallelism = 4
    openlineage = "https://lineage.example/api/v1/lineage"     # or file:events.jsonl
    openlineage_token = "${env:LINEAGE_TOKEN}"

    [profiles.local.parameters.taxi]
    train_steps = 500

    [profiles.local.limits.taxi]                # see penstock/project/limits.py
    runs_at_once = 1

    [profiles.cluster.kubeflow]                 # see penstock/project/kubeflow.py
    image = "registry.example/team/taxi@sha256:…"

    [profiles.large.spark]                      # see penstock/project/clusters.py, as for ray
    master = "spark://spark.example:7077"
    conf = { "spark.executor.memory" = "8g" }

    [environments.production]                   # see penstock/project/environments.py
    profile = "cluster"

    [deployments.taxi]                          # see penstock/project/deployments.py
    environment = "production"

    [triggers.new_month]                        # see penstock/project/triggers.py
    when = { span = "data/span-{SPAN}" }
    run = "taxi"

    [sinks.team]                                # see penstock/project/alerting.py
    kind = "slack"
    url = "${env:SLACK_URL}"

    [notifications.taxi]                        # see penstock/project/notifications.py
    failed = "critical"

    [daemon]                                    # see penstock/project/daemons.py
    start = true
    idle_minutes = 30

Relative paths count from the file's folder. A secret is never written down: `${env:NAME}` stands
for an environment variable, which is read when the value is used.
"""

from __future__ import annotations

import importlib
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from penstock.errors import ConfigError, DataError, suggestion
from penstock.project import loading
from penstock.project.alerting import Sink, read_sinks
from penstock.project.daemons import DaemonOptions
from penstock.project.deployments import Deployment, read_deployments
from penstock.project.environments import Environment, read_environments
from penstock.project.monitors import Monitor, read_monitors
from penstock.project.notifications import Notification, read_notifications
from penstock.project.profiles import (
    DEFAULT_PROFILE,
    Profile,
    at_folder,
    check_keys,
    read_profile,
    table_of,
)
from penstock.project.tables import read_table
from penstock.project.triggers import Trigger, read_triggers
from penstock.safety import bounded

FILE_NAME = "penstock.toml"

# The pipeline of all monitors.
_MONITORING = "penstock.pipelines.monitor.pipeline"
_KEYS = (
    "default_profile",
    "pipelines",
    "profiles",
    "triggers",
    "environments",
    "deployments",
    "sinks",
    "monitors",
    "notifications",
    "daemon",
)

# What there is to run without a penstock.toml.
_EXAMPLES = {
    "flights": "penstock.pipelines.flights.pipeline:flights",
    "penguins": "penstock.pipelines.penguins.pipeline:penguins",
}


@dataclass(frozen=True)
class Config:
    """A project's pipelines, profiles and triggers; `path` is the file of them, if there is one."""

    path: Path | None
    pipelines: Mapping[str, str]
    profiles: Mapping[str, Profile]
    default_profile: str = DEFAULT_PROFILE
    triggers: Mapping[str, Trigger] = field(default_factory=dict)
    environments: Mapping[str, Environment] = field(default_factory=dict)
    deployments: Mapping[str, Deployment] = field(default_factory=dict)
    sinks: Mapping[str, Sink] = field(default_factory=dict)
    monitors: Mapping[str, Monitor] = field(default_factory=dict)
    notifications: Mapping[str, Notification] = field(default_factory=dict)
    daemon: DaemonOptions = field(default_factory=DaemonOptions)

    @property
    def folder(self) -> Path:
        """The folder from which relative paths count."""
        return self.path.parent if self.path else Path.cwd()

    def profile(self, name: str | None = None) -> Profile:
        """Return a profile, by default the default one.

        Raises:
          ConfigError: there is none of that name.
        """
        name = name or self.default_profile
        if name not in self.profiles:
            raise ConfigError(
                f"there is no profile {name!r}",
                path=str(self.path) if self.path else None,
                hint=suggestion(name, self.profiles, noun="profile"),
            )
        return self.profiles[name]

    @property
    def monitor_pipelines(self) -> dict[str, Monitor]:
        """The monitors by the names of the pipelines that judge their windows."""
        return {monitor.pipeline: monitor for monitor in self.monitors.values()}

    def load_pipeline(self, name: str) -> Any:
        """Import a registered pipeline, that of a monitor, or the one at a place.

        See `loading.load`.

        Raises:
          ConfigError: there is no such pipeline.
          UserCodeError: its module does not import.
        """
        monitor = self.monitor_pipelines.get(name)
        if monitor is not None and name not in self.pipelines:
            return importlib.import_module(_MONITORING).pipeline_of(monitor)
        return loading.load(name, self.pipelines, self.folder, self.path)


def find_config(start: Path | None = None) -> Path | None:
    """Return the penstock.toml of a folder or of the nearest one above it."""
    folder = (start or Path.cwd()).resolve()
    for candidate in (folder, *folder.parents):
        if (candidate / FILE_NAME).is_file():
            return candidate / FILE_NAME
    return None


def read_config(path: Path | None = None) -> Config:
    """Read a penstock.toml; without one, the example pipelines and one profile.

    Raises:
      ConfigError: the file is no TOML, or has a key or value that it should not have.
    """
    if path is None:
        profile = at_folder(Profile(), Path.cwd())
        return Config(None, _EXAMPLES, {DEFAULT_PROFILE: profile})
    try:
        content = tomllib.loads(bounded.read_text(path, pipes=True))
    except FileNotFoundError as error:
        raise ConfigError(f"there is no file {path}") from error
    except DataError as error:
        raise ConfigError(error.message, path=str(path), hint=error.hint) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"it cannot be read as TOML: {error}", path=str(path)) from error
    check_keys(path, "", content, _KEYS)
    pipelines = table_of(path, "pipelines", content.get("pipelines", {}))
    for name, target in pipelines.items():
        if not isinstance(target, str) or not loading.is_place(target, path.parent):
            raise ConfigError(
                f"expected file.py:function, module:function or file.py, got {target!r}",
                path=str(path),
                key=f"pipelines.{name}",
            )
    profiles = {
        name: read_profile(path, name, table_of(path, f"profiles.{name}", table))
        for name, table in table_of(path, "profiles", content.get("profiles", {})).items()
    }
    profiles.setdefault(DEFAULT_PROFILE, at_folder(Profile(), path.parent))
    default = content.get("default_profile", DEFAULT_PROFILE)
    if not isinstance(default, str):
        raise ConfigError(
            f"expected the name of a profile, got {default!r}",
            path=str(path),
            key="default_profile",
        )
    triggers = read_triggers(str(path), table_of(path, "triggers", content.get("triggers", {})))
    tables = table_of(path, "environments", content.get("environments", {}))
    environments = read_environments(str(path), tables)
    tables = table_of(path, "deployments", content.get("deployments", {}))
    deployments = read_deployments(str(path), tables)
    sinks = read_sinks(str(path), table_of(path, "sinks", content.get("sinks", {})))
    tables = table_of(path, "monitors", content.get("monitors", {}))
    monitors = read_monitors(str(path), tables, deployments)
    tables = table_of(path, "notifications", content.get("notifications", {}))
    notifications = read_notifications(str(path), tables)
    table = table_of(path, "daemon", content.get("daemon", {}))
    daemon = read_table(DaemonOptions, table, key="daemon", path=str(path))
    config = Config(
        path,
        pipelines or _EXAMPLES,
        profiles,
        default,
        triggers,
        environments,
        deployments,
        sinks,
        monitors,
        notifications,
        daemon,
    )
    config.profile(default)
    for name, trigger in triggers.items():
        _check_names(config, f"triggers.{name}", _names_of_trigger(config, trigger))
    for name, environment in environments.items():
        _check_names(config, f"environments.{name}", _names_of_environment(config, environment))
    for name, deployment in deployments.items():
        named = [("environment", deployment.environment, environments, "environment")]
        _check_names(config, f"deployments.{name}", named)
    for name, monitor in monitors.items():
        _check_names(config, f"monitors.{name}", _names_of_monitor(config, monitor))
    for name, notification in notifications.items():
        _check_names(config, f"notifications.{name}", _names_of_notification(config, notification))
        known = {**config.pipelines, **config.monitor_pipelines}
        _check_names(config, "notifications", [(name, name, known, "pipeline")])
    return config


# Where a name stands, the name, the names that there are, and what they are of.
_Named = tuple[str, str, Mapping[str, Any], str]


def _names_of_trigger(config: Config, trigger: Trigger) -> Iterator[_Named]:
    if ":" not in trigger.run:
        known = {**config.pipelines, **config.monitor_pipelines}
        yield "run", trigger.run, known, "pipeline"
    yield "profile", trigger.profile, config.profiles, "profile"
    yield "when.profile", trigger.when.profile, config.profiles, "profile"


def _names_of_environment(config: Config, environment: Environment) -> Iterator[_Named]:
    yield "profile", environment.profile, config.profiles, "profile"
    for option in ("pipelines", "models", "model_nodes", "canary", "parameters", "schedules"):
        for name in getattr(environment, option):
            yield option, name, config.pipelines, "pipeline"


def _names_of_monitor(config: Config, monitor: Monitor) -> Iterator[_Named]:
    yield "profile", monitor.profile, config.profiles, "profile"
    for kind, rule in monitor.alerts.items():
        for sink in rule.sinks or ():
            yield f"alerts.{kind}.sinks", sink, config.sinks, "sink"


def _names_of_notification(config: Config, notification: Notification) -> Iterator[_Named]:
    for sink in notification.sinks or ():
        yield "sinks", sink, config.sinks, "sink"


def _check_names(config: Config, key: str, named: Iterable[_Named]) -> None:
    """Check that the pipelines and the profiles that a table names are there."""
    for option, name, known, noun in named:
        if name and name not in known:
            raise ConfigError(
                f"there is no {noun} {name!r}",
                path=str(config.path),
                key=f"{key}.{option}",
                hint=suggestion(name, known, noun=noun),
            )
