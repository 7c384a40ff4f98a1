"""Flavors: how models of one framework are recognized, saved and loaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import pyarrow as pa

from penstock.models.signature import Signature

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

    @property
    def NAME(self) -> str:
        """What the flavor is called."""
        ...

    @property
    def MODULES(self) -> Sequence[str]:
        """What is imported to load a model."""
        ...

    @property
    def PACKAGES(self) -> Sequence[str]:
        """The distributions whose versions a model needs."""
        ...

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


def code_in(details: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the code beyond its framework's that a model needs, by its details."""
    factory = details.get("factory")
    return (*details.get("foreign_types", ()), *((factory,) if factory else ()))


def comes_from(model: Any, *packages: str) -> bool:
    """Return whether one of a model's classes is defined in one of some packages."""
    return any(kind.__module__.partition(".")[0] in packages for kind in type(model).__mro__)
