"""Flavors: how models of one framework are recognized, saved and loaded."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import pyarrow as pa

from penstock.errors import ConfigError, DataError, suggestion
from penstock.models.signature import Column, Signature

ENTRY_POINTS = "penstock.flavors"

# The flavors of Penstock, in the order in which they are asked about a model: those that build on
# others come first.
_OWN = ("keras", "tensorflow", "torch", "xgboost", "lightgbm", "sklearn", "onnx")

Predictor = Callable[[pa.Table], pa.Table]


@dataclass(frozen=True)
class Saving:
    """What a flavor is told when it saves a model.

    `example` has some rows of what the model takes, after its features if it has any. `classes`
    are the labels of a classifier where somebody gave them. `options` are the flavor's own, as
    the training code gave them.
    """

    directory: str
    example: pa.Table
    classes: tuple[Any, ...] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Loading:
    """What a flavor is told when it loads a model.

    `inputs` are the columns that the model takes, after its features; None where nobody knows.
    `details` are those that saving returned. `trusted` names code beyond the framework's own that
    whoever loads the model lets run.
    """

    directory: str
    inputs: tuple[str, ...] | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    trusted: tuple[str, ...] = ()


class Flavor(Protocol):
    """A framework's models. A module with these names is one, and so is an object."""

    NAME: str
    MODULES: Sequence[str]  # what is imported to load a model
    PACKAGES: Sequence[str]  # the distributions whose versions a model needs

    def recognizes(self, model: Any) -> bool:
        """Return whether an object is a model of this flavor; imports nothing for it."""
        ...

    def is_in(self, directory: str) -> bool:
        """Return whether a directory without facts holds a model of this flavor."""
        ...

    def inputs_of(self, model: Any) -> Sequence[str] | None:
        """Return the names of the columns that a model was trained on, if it knows them."""
        ...

    def save(self, model: Any, saving: Saving) -> Mapping[str, Any]:
        """Write the model in a format that runs no code when it is loaded; return details."""
        ...

    def load(self, loading: Loading) -> Predictor:
        """Return the function from a table of inputs to a table of predictions."""
        ...

    def signature_in(self, directory: str) -> Signature | None:
        """Return the signature that the files of a model have themselves, if they have one."""
        ...


def flavor_names() -> list[str]:
    """Return the names of all flavors, those of installed packages too."""
    return [*_OWN, *(point.name for point in _entry_points() if point.name not in _OWN)]


def flavor_named(name: str) -> Flavor:
    """Return a flavor.

    Raises:
      ConfigError: there is none of that name, or the package that has it does not import.
    """
    if name in _OWN:
        return importlib.import_module(f"penstock.models.flavors.{name}_flavor")
    for point in _entry_points():
        if point.name == name:
            return _loaded(point)
    raise ConfigError(
        f"there is no flavor {name!r} of models",
        hint=suggestion(name, flavor_names(), noun="flavor")
        + " A package registers one by an entry point of the group penstock.flavors.",
    )


def flavor_of(model: Any) -> Flavor:
    """Return the flavor of a model in memory.

    Raises:
      DataError: no flavor knows such a model.
    """
    for name in _asked_first():
        flavor = flavor_named(name)
        if flavor.recognizes(model):
            return flavor
    kind = type(model)
    raise DataError(
        f"no flavor of models knows {kind.__module__}.{kind.__qualname__}",
        hint=f"There are {', '.join(flavor_names())}. A flavor of your own is registered by an "
        "entry point; see docs/models.md.",
    )


def flavor_in(directory: str) -> Flavor | None:
    """Return the flavor of a model in a directory without facts; None if no flavor knows it."""
    for name in _asked_first():
        flavor = flavor_named(name)
        if flavor.is_in(directory):
            return flavor
    return None


def require(flavor: Flavor) -> None:
    """Raise ConfigError if what a flavor imports is not installed."""
    missing = [module for module in flavor.MODULES if not _is_installed(module)]
    if missing:
        extra = "tfx" if flavor.NAME in ("tensorflow", "keras") else flavor.NAME
        raise ConfigError(
            f"models of the flavor {flavor.NAME} need {', '.join(missing)}, which is not installed",
            hint=f"Install it: pip install 'penstock[{extra}]'."
            if flavor.NAME in _OWN
            else f"Install {', '.join(flavor.PACKAGES)}.",
        )


def installed_versions(packages: Sequence[str]) -> dict[str, str]:
    """Return the versions of the distributions that are installed."""
    versions = {}
    for package in packages:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def names_of(columns: Sequence[Column] | None) -> tuple[str, ...] | None:
    """Return the names of columns, where there are columns."""
    return None if columns is None else tuple(column.name for column in columns)


def comes_from(model: Any, *packages: str) -> bool:
    """Return whether one of a model's classes is defined in one of some packages."""
    return any(kind.__module__.partition(".")[0] in packages for kind in type(model).__mro__)


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def _asked_first() -> list[str]:
    """Return the flavors of other packages, then our own."""
    names = flavor_names()
    return [name for name in names if name not in _OWN] + list(_OWN)


def _entry_points() -> list[importlib.metadata.EntryPoint]:
    return list(importlib.metadata.entry_points(group=ENTRY_POINTS))


def _loaded(point: importlib.metadata.EntryPoint) -> Flavor:
    try:
        return point.load()
    except Exception as error:  # a package of somebody else's may raise anything
        raise ConfigError(
            f"the flavor {point.name} of models, {point.value}, does not load: "
            f"{type(error).__name__}: {error}",
            hint="Update or remove the package that registers it.",
        ) from error
