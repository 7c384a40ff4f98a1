"""The flavors that there are: Penstock's own, and those of installed packages."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Sequence
from typing import Any

from penstock.errors import ConfigError, DataError, suggestion
from penstock.models.flavor import Flavor
from penstock.project import extras

ENTRY_POINTS = "penstock.flavors"

# In the order in which they are asked about a model: those that build on others come first.
_OWN = ("keras", "tensorflow", "torch", "xgboost", "lightgbm", "sklearn", "onnx")


def flavor_names() -> list[str]:
    """Return the names of all flavors, those of installed packages too."""
    return [*_OWN, *(point.name for point in _entry_points() if point.name not in _OWN)]


def flavor_named(name: str) -> Flavor:
    """Return a flavor.

    Raises:
      ConfigError: there is none of that name, or the package that has it does not import.
    """
    if (own := _own(name)) is not None:
        return own
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
    """Raise an error if what a flavor imports is not installed.

    Raises:
      MissingExtra: an extra of Penstock brings it.
      ConfigError: a package of somebody else's does.
    """
    what = f"the flavor {flavor.NAME} of models"
    absent = extras.needed_by(what, filter(None, map(extras.package_of, flavor.MODULES)))
    if absent is not None:
        raise absent
    missing = [module for module in flavor.MODULES if not _is_installed(module)]
    if missing:
        raise ConfigError(
            f"{what} needs {', '.join(missing)}, which is not installed",
            hint=f"Install {', '.join(flavor.PACKAGES)}.",
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


def _own(name: str) -> Flavor | None:
    if name == "keras":
        from penstock.models.flavors import keras_flavor

        return keras_flavor
    if name == "lightgbm":
        from penstock.models.flavors import lightgbm_flavor

        return lightgbm_flavor
    if name == "onnx":
        from penstock.models.flavors import onnx_flavor

        return onnx_flavor
    if name == "sklearn":
        from penstock.models.flavors import sklearn_flavor

        return sklearn_flavor
    if name == "tensorflow":
        from penstock.models.flavors import tensorflow_flavor

        return tensorflow_flavor
    if name == "torch":
        from penstock.models.flavors import torch_flavor

        return torch_flavor
    if name == "xgboost":
        from penstock.models.flavors import xgboost_flavor

        return xgboost_flavor
    return None


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
