"""What a store's database must be able to do, whatever it is.

ML Metadata leaves some things to whoever opens a store: to say why it cannot be used, to make a
database that keeps names and texts as they are, and to keep two processes from making the tables,
or the same type, at the same moment.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

from penstock.errors import StoreError
from penstock.metadata.databases.limits import SQLITE, Limits
from penstock.metadata.databases.patience import USUAL, Patience

TEXT_TOO_LONG = (
    "A store on a server keeps names (of a pipeline, `pipeline.node`, an artifact, a type or a "
    "parameter) of up to 255 characters."
)
NUMBER_TOO_LARGE = (
    "A store on a server keeps whole numbers from -2147483648 to 2147483647: make the parameter "
    "or property a float or a string, or use an SQLite store."
)


class Database(Protocol):
    """Where a store is kept."""

    @property
    def where(self) -> str:
        """The store's address, as it may be shown: without a password."""

    @property
    def wait_seconds(self) -> float:
        """How long to wait for other processes."""

    @property
    def patience(self) -> Patience:
        """How long to wait for who keeps it, where that is a server."""

    @property
    def locks_each_call(self) -> bool:
        """Whether one process at a time may use it; else the database sees to that itself."""

    @property
    def limits(self) -> Limits:
        """What it can hold."""

    def settings(self) -> Any:
        """Return what ML Metadata connects with."""

    def exclusively(self) -> AbstractContextManager[None]:
        """Keep other processes from using it (`locks_each_call`), or from making tables or types.

        Raises:
          StoreError: another process did so for too long.
        """

    def prepare(self, *, create: bool) -> None:
        """See that it can be used, and written where a store may be created.

        Raises:
          StoreError: it cannot.
        """

    def exists(self) -> bool:
        """Say whether there is a store, of whatever version."""

    def create(self, fill: Callable[[Any], None]) -> None:
        """Make the store. `fill` makes ML Metadata's tables with the settings that it is given."""

    def settle(self, execution_ids: Sequence[int]) -> None:
        """Wait until no connection that was lost can still change these executions.

        Raises:
          StoreAway: nobody answers, or such a connection still holds what it has changed.
        """

    def back_up(self) -> str | None:
        """Copy the store and return where the copy is, or None where a server has its own way."""

    def encode(self, request: Any) -> None:
        """Change texts of a request that could not be written as they are."""

    def decode(self, response: Any) -> None:
        """Change them back."""

    def explain(self, message: str) -> str | None:
        """Return what to do about a message of the database, where that is known."""


class Kept:
    """What a store asks for that others keep, or nobody but this process uses: nothing."""

    limits = SQLITE  # what others keep, they make fit
    patience = USUAL

    def exclusively(self) -> AbstractContextManager[None]:
        """Do nothing: nobody disturbs it, or who keeps it sees to that."""
        return nullcontext()

    def exists(self) -> bool:
        """Say yes: who keeps it has made it, or connecting does."""
        return True

    def create(self, fill: Callable[[Any], None]) -> None:
        """Do nothing: it exists."""

    def settle(self, execution_ids: Sequence[int]) -> None:
        """Do nothing: who keeps it does."""

    def back_up(self) -> str | None:
        """Copy nothing: that is done where it is kept."""
        return None

    def encode(self, request: Any) -> None:
        """Do nothing: texts are kept as they are, or changed by who keeps it."""

    def decode(self, response: Any) -> None:
        """Do nothing."""

    def explain(self, message: str) -> str | None:
        """Say nothing: who keeps it does."""
        return None


@dataclass(frozen=True)
class InMemory(Kept):
    """A store that nobody else uses: in memory."""

    connection: Any
    wait_seconds: float
    locks_each_call = False

    @property
    def where(self) -> str:
        """The store's address, as it may be shown."""
        return "in memory"

    def settings(self) -> Any:
        """Return what ML Metadata connects with."""
        return self.connection

    def prepare(self, *, create: bool) -> None:
        """Do nothing."""


class NoStore(StoreError):
    """A store that is asked for what is in it before there is one."""


def no_store_yet(where: str) -> NoStore:
    """Return the error for a store that is asked for what is in it before there is one."""
    return NoStore(
        f"there is no metadata store at {where}",
        hint="It is made by the first run: penstock run PIPELINE.",
    )
