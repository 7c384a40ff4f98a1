"""What a release asks of where a model serves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from penstock.errors import PenstockError
from penstock.serving.evidence import Evidence
from penstock.serving.routes import Routes, Servable

READY = "ready"
LOADING = "loading"
FAILED = "failed"


@dataclass(frozen=True)
class Standing:
    """How a target stands: its routes, None where nothing serves, and the states of versions.

    Routes that nobody of ours has brought have another token than any of a release.
    """

    routes: Routes | None = None
    versions: Mapping[int, str] = field(default_factory=dict)
    reasons: Mapping[int, str] = field(default_factory=dict)


class TargetError(PenstockError):
    """A target refuses what is asked of it, for good: asking again would not help."""


class AwayError(PenstockError):
    """A target does not answer now, or nobody knows whether it has done what was asked."""


class Target(Protocol):
    """Where a model serves.

    All of it is idempotent: what was asked is asked again where nobody knows whether it was done.
    Each method raises TargetError for what is refused and AwayError for what may work later.
    """

    @property
    def roles(self) -> frozenset[str]:
        """The roles that a version can have beside production: canary, shadow."""
        ...

    def describe(self) -> Standing:
        """Return how it stands; all that a release must know of it is read back here."""
        ...

    def prepare(self, servable: Servable) -> str:
        """Have a version loaded, which nobody is answered by yet; return its state.

        It is asked again while the version is loading.
        """
        ...

    def shift(self, routes: Routes) -> None:
        """Let versions that are prepared have other parts in answering."""
        ...

    def evidence(self) -> Evidence | None:
        """Return what was seen since routes are as they are; None where it cannot be known."""
        ...

    def remove(self, version: int) -> None:
        """Take away a version that has no part in answering any more."""
        ...
