"""Profiles of penstock.toml: where and how pipelines run."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from penstock.errors import ConfigError, ParameterError, suggestion
from penstock.project import clusters
from penstock.project.clusters import Cluster, RayOptions, SparkOptions
from penstock.project.kubeflow import KubeflowOptions
from penstock.project.limits import RunLimit
from penstock.project.tables import read_table
from penstock.safety import containment, secrets

DEFAULT_PROFILE = "default"

_CLUSTERS: Mapping[str, type[Cluster]] = {"spark": SparkOptions, "ray": RayOptions}
_CLUSTER_SCHEMES = ("gs://", "s3://", "minio://")


@dataclass(frozen=True)
class Profile:
    """Where and how pipelines run.

    `parameters` has for every pipeline the parameters that differ from its own defaults, `limits`
    how many of its runs may be under way at once. Values
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
    limits: Mapping[str, RunLimit] = field(default_factory=dict)
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


def read_profile(path: Path, name: str, table: dict[str, Any]) -> Profile:
    """Return a profile of penstock.toml, whose path it is, with relative paths from its folder.

    Raises:
      ConfigError: a key is unknown, a value is not what is asked for, or a secret is written down.
    """
    key = f"profiles.{name}"
    keys = (*(f.name for f in fields(Profile) if f.name != "name"), *_CLUSTERS)
    check_keys(path, key, table, keys)
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
    parameters = table_of(path, f"{key}.parameters", table.get("parameters", {}))
    for pipeline, values in parameters.items():
        table_of(path, f"{key}.parameters.{pipeline}", values)
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
        limits=_limits(path, key, table),
        kubeflow=kubeflow,
    )
    return at_folder(profile, path.parent)


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


def _limits(path: Path, key: str, table: Mapping[str, Any]) -> dict[str, RunLimit]:
    where = f"{key}.limits"
    return {
        name: read_table(RunLimit, limit, key=f"{where}.{name}", path=str(path))
        for name, limit in table_of(path, where, table.get("limits", {})).items()
    }


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


def at_folder(profile: Profile, folder: Path) -> Profile:
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


def _resolved(text: str, resolve: Callable[[str], str] = secrets.resolve) -> str:
    try:
        return resolve(text)
    except ParameterError as error:
        raise ConfigError(error.message, hint=error.hint) from None


def table_of(path: Path, key: str, value: Any) -> dict[str, Any]:
    """Return a value of penstock.toml that has to be a table, at `key`."""
    if not isinstance(value, dict):
        raise ConfigError(f"expected a table, got {value!r}", path=str(path), key=key)
    return value


def check_keys(path: Path, prefix: str, table: Mapping[str, Any], keys: tuple[str, ...]) -> None:
    """Refuse keys of penstock.toml, below `prefix`, that are none of `keys`."""
    for key in table:
        if key not in keys:
            raise ConfigError(
                f"the key {key!r} is not known",
                path=str(path),
                key=prefix or None,
                hint=suggestion(key, keys, noun="key"),
            )
