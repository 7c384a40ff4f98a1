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

Relative paths count from the file's folder. A secret is never written down: `${env:NAME}` stands
for an environment variable, which is read when the value is used.
"""

from __future__ import annotations

import importlib
import math
import os
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from penstock.errors import ConfigError, ParameterError, suggestion
from penstock.project import clusters, loading
from penstock.project.alerting import Sink, read_sinks
from penstock.project.clusters import Cluster, RayOptions, SparkOptions
from penstock.project.deployments import Deployment, read_deployments
from penstock.project.environments import Environment, read_environments
from penstock.project.kubeflow import KubeflowOptions
from penstock.project.monitors import Monitor, read_monitors
from penstock.project.tables import read_table
from penstock.project.triggers import Trigger, read_triggers
from penstock.safety import containment, secrets

FILE_NAME = "penstock.toml"
DEFAULT_PROFILE = "default"

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
)

# What there is to run without a penstock.toml.
_EXAMPLES = {
    "flights": "penstock.pipelines.flights.pipeline:flights",
    "penguins": "penstock.pipelines.penguins.pipeline:penguins",
}
_CLUSTERS: Mapping[str, type[Cluster]] = {"spark": SparkOptions, "ray": RayOptions}
_CLUSTER_SCHEMES = ("gs://", "s3://", "minio://")


@dataclass(frozen=True)
class Profile:
    """Where and how pipelines run.

    `parameters` has for every pipeline the parameters that differ from its own defaults. Values
    may refer to environment variables, which are read where the values are used. `beam_args` are
    also what names a Spark or a Ray, as `penstock.project.clusters` has them.
    `metadata_patience` is how many seconds a run waits for a store whose server is away. With
    `accelerate` engines of Penstock's do the work of TFX's own executors, where they can.
    """

    name: str = DEFAULT_PROFILE
    pipeline_root: str = ".penstock"
    metadata: str = ""
    metadata_patience: float = 600.0
    beam_args: tuple[str, ...] = ()
    parallelism: int | None = None
    openlineage: str = ""
    openlineage_token: str = ""
    openlineage_namespace: str = "penstock"
    otel: str = ""
    accelerate: bool = True
    parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    kubeflow: KubeflowOptions | None = None

    def root_of(self, pipeline_name: str) -> str:
        """Return the folder for a pipeline's artifacts.

        Raises:
          DataError: the name, which may come from a store, would lead elsewhere.
        """
        name = containment.name(pipeline_name, "a pipeline's name")
        return os.path.join(_resolved(self.pipeline_root), name)

    @property
    def cluster_root(self) -> str:
        """The root of runs on a cluster, of those that its launcher knows; else "", its own."""
        is_known = self.pipeline_root.startswith(_CLUSTER_SCHEMES)
        return self.pipeline_root if is_known and not secrets.names(self.pipeline_root) else ""

    def metadata_address(self) -> str:
        """Return the address of the metadata store, secrets included."""
        default = os.path.join(self.pipeline_root, "metadata.sqlite")
        return _resolved(self.metadata or default, secrets.resolve_address)

    def with_image(self, image: str | None) -> Profile:
        """Return a profile whose pods have another image, if one is given."""
        if not image or self.kubeflow is None:
            return self
        return replace(self, kubeflow=replace(self.kubeflow, image=image))

    def with_engine(self, args: Iterable[str]) -> Profile:
        """Return a profile with further arguments of Beam's, or that name a cluster."""
        return replace(self, beam_args=clusters.joined(self.beam_args, args))

    def events_address(self) -> tuple[str, str]:
        """Return where OpenLineage events go, or nothing, and the token, secrets included."""
        address = _resolved(self.openlineage, secrets.resolve_address)
        return address, _resolved(self.openlineage_token)

    def collector_address(self) -> str:
        """Return where traces and metrics go, or nothing, secrets included."""
        return _resolved(self.otel, secrets.resolve_address)


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
        profile = _at_folder(Profile(), Path.cwd())
        return Config(None, _EXAMPLES, {DEFAULT_PROFILE: profile})
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(f"there is no file {path}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"it cannot be read as TOML: {error}", path=str(path)) from error
    _check_keys(path, "", content, _KEYS)
    pipelines = _table(path, "pipelines", content.get("pipelines", {}))
    for name, target in pipelines.items():
        if not isinstance(target, str) or not loading.is_place(target, path.parent):
            raise ConfigError(
                f"expected file.py:function, module:function or file.py, got {target!r}",
                path=str(path),
                key=f"pipelines.{name}",
            )
    profiles = {
        name: _profile(path, name, _table(path, f"profiles.{name}", table))
        for name, table in _table(path, "profiles", content.get("profiles", {})).items()
    }
    profiles.setdefault(DEFAULT_PROFILE, _at_folder(Profile(), path.parent))
    default = content.get("default_profile", DEFAULT_PROFILE)
    if not isinstance(default, str):
        raise ConfigError(
            f"expected the name of a profile, got {default!r}",
            path=str(path),
            key="default_profile",
        )
    triggers = read_triggers(str(path), _table(path, "triggers", content.get("triggers", {})))
    tables = _table(path, "environments", content.get("environments", {}))
    environments = read_environments(str(path), tables)
    tables = _table(path, "deployments", content.get("deployments", {}))
    deployments = read_deployments(str(path), tables)
    sinks = read_sinks(str(path), _table(path, "sinks", content.get("sinks", {})))
    tables = _table(path, "monitors", content.get("monitors", {}))
    monitors = read_monitors(str(path), tables, deployments)
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


def _resolved(text: str, resolve: Callable[[str], str] = secrets.resolve) -> str:
    try:
        return resolve(text)
    except ParameterError as error:
        raise ConfigError(error.message, hint=error.hint) from None


def _table(path: Path, key: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ConfigError(f"expected a table, got {value!r}", path=str(path), key=key)
    return value


def _check_keys(path: Path, prefix: str, table: Mapping[str, Any], keys: tuple[str, ...]) -> None:
    for key in table:
        if key not in keys:
            raise ConfigError(
                f"the key {key!r} is not known",
                path=str(path),
                key=prefix or None,
                hint=suggestion(key, keys, noun="key"),
            )


def _profile(path: Path, name: str, table: dict[str, Any]) -> Profile:
    key = f"profiles.{name}"
    keys = (*(f.name for f in fields(Profile) if f.name != "name"), *_CLUSTERS)
    _check_keys(path, key, table, keys)
    expected = {
        "pipeline_root": str,
        "metadata": str,
        "beam_args": list,
        "parallelism": int,
        "openlineage": str,
        "openlineage_token": str,
        "openlineage_namespace": str,
        "otel": str,
        "accelerate": bool,
    }
    for option, kind in expected.items():
        value = table.get(option)
        if value is not None and (
            not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool)
        ):
            raise ConfigError(
                f"expected {kind.__name__}, got {value!r}", path=str(path), key=f"{key}.{option}"
            )
    if table.get("parallelism") is not None and table["parallelism"] < 1:
        raise ConfigError(
            f"expected 1 or more, got {table['parallelism']}",
            path=str(path),
            key=f"{key}.parallelism",
        )
    refuse_password(
        path, f"{key}.metadata", table.get("metadata", ""), "the address of the metadata store"
    )
    refuse_password(
        path, f"{key}.openlineage", table.get("openlineage", ""), "the address for events"
    )
    refuse_password(path, f"{key}.otel", table.get("otel", ""), "the address of the collector")
    _refuse_token(path, f"{key}.openlineage_token", table.get("openlineage_token", ""))
    parameters = _table(path, f"{key}.parameters", table.get("parameters", {}))
    for pipeline, values in parameters.items():
        _table(path, f"{key}.parameters.{pipeline}", values)
    kubeflow = None
    if "kubeflow" in table:
        where = f"{key}.kubeflow"
        kubeflow = read_table(KubeflowOptions, table["kubeflow"], key=where, path=str(path))
        _refuse_token(path, f"{where}.token", kubeflow.token)
        _refuse_token(path, f"{where}.cookies", kubeflow.cookies)
    profile = Profile(
        name=name,
        pipeline_root=table.get("pipeline_root", Profile.pipeline_root),
        metadata=table.get("metadata", ""),
        metadata_patience=_patience(path, key, table),
        beam_args=_beam_args(path, key, table),
        parallelism=table.get("parallelism"),
        openlineage=table.get("openlineage", ""),
        openlineage_token=table.get("openlineage_token", ""),
        openlineage_namespace=table.get("openlineage_namespace", Profile.openlineage_namespace),
        otel=table.get("otel", ""),
        accelerate=table.get("accelerate", True),
        parameters=parameters,
        kubeflow=kubeflow,
    )
    return _at_folder(profile, path.parent)


def _beam_args(path: Path, key: str, table: Mapping[str, Any]) -> tuple[str, ...]:
    """Return Beam's arguments, and those that name a cluster; only one place can be named."""
    args = tuple(str(arg) for arg in table.get("beam_args", ()))
    named = ["beam_args"] if clusters.names_a_place(args) else []
    for name, kind in _CLUSTERS.items():
        if name in table:
            where = f"{key}.{name}"
            try:
                cluster = read_table(kind, table[name], key=where, path=str(path))
            except ParameterError as error:
                raise ConfigError(
                    error.message, path=str(path), key=where, hint=error.hint
                ) from error
            args, named = (*args, *cluster.args), [*named, name]
    if len(named) > 1:
        raise ConfigError(
            f"{' and '.join(named)} name different places for the work of nodes",
            path=str(path),
            key=key,
            hint="Leave all but one out.",
        )
    return args


def _patience(path: Path, key: str, table: Mapping[str, Any]) -> float:
    value = table.get("metadata_patience", Profile.metadata_patience)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise ConfigError(
            f"expected a number of seconds, got {value!r}",
            path=str(path),
            key=f"{key}.metadata_patience",
        )
    return float(value)


def refuse_password(path: Path | None, key: str, address: str, what: str) -> None:
    """Refuse an address that has a password, and not a reference to one.

    Raises:
      ConfigError: it has; `path` and `key` say where it is written, and `what` it is.
    """
    password = urlsplit(address).password if "://" in address else None
    if password and not secrets.is_reference(password):
        raise ConfigError(
            f"a password is written down in {what}",
            path=str(path) if path else None,
            key=key,
            hint="Put it into an environment variable and write ${env:NAME} in its place.",
        )


def _refuse_token(path: Path, key: str, token: str) -> None:
    if token and not secrets.is_reference(token):
        raise ConfigError(
            "a token is written down",
            path=str(path),
            key=key,
            hint="Put it into an environment variable and write ${env:NAME} in its place.",
        )


def _at_folder(profile: Profile, folder: Path) -> Profile:
    """Make a profile's relative paths count from a folder."""
    metadata = profile.metadata
    if metadata and "://" not in metadata:
        metadata = str(folder / metadata)
    elif metadata.startswith("sqlite:///") and not metadata.startswith("sqlite:////"):
        metadata = f"sqlite:///{folder / metadata.removeprefix('sqlite:///')}"
    elif metadata.startswith("grpcs://"):
        metadata = _files_at(metadata, folder)
    root = profile.pipeline_root
    if "://" not in root and not root.startswith("${"):
        root = str(folder / root)
    events = profile.openlineage
    if events.startswith("file:") and not events.startswith(("file:/", "file:~", "file:${")):
        events = f"file:{folder / events.removeprefix('file:')}"
    return replace(profile, pipeline_root=root, metadata=metadata, openlineage=events)


def _files_at(address: str, folder: Path) -> str:
    """Make the files count from a folder that an address names after a question mark."""
    path, mark, query = address.partition("?")
    if not mark:
        return address
    at_folder = re.sub("(?<==)(?![/$&]|$)", f"{quote(str(folder))}/", query)
    return path + mark + at_folder
