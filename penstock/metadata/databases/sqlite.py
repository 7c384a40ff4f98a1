"""Stores in an SQLite file."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, closing, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from penstock.errors import StoreError
from penstock.metadata.databases.database import no_store_yet
from penstock.metadata.databases.limits import SQLITE
from penstock.metadata.databases.locking import WAIT_SECONDS, file_lock, locked_for_long
from penstock.metadata.databases.patience import USUAL, Patience

# ML Metadata 0.13.2 had no version in its stores, and these tables.
_FIRST_TABLES = {"Type", "TypeProperty", "Artifact", "Execution", "Event"}


@dataclass(frozen=True)
class SqliteFile:
    """A store in a file. A second file beside it, `….lock`, lets one process at a time use it."""

    connection: Any
    wait_seconds: float = WAIT_SECONDS
    patience: Patience = USUAL
    locks_each_call = True
    limits = SQLITE

    @property
    def path(self) -> str:
        """The file."""
        return str(self.connection.sqlite.filename_uri)

    @property
    def where(self) -> str:
        """The store's address, as it may be shown."""
        return self.path

    def settings(self) -> Any:
        """Return what ML Metadata connects with: a file that was moved away is not made anew."""
        return self._settings(self.path, "READWRITE")

    def exclusively(self) -> AbstractContextManager[None]:
        """Let no other process use the store meanwhile."""
        return file_lock(f"{self.path}.lock", protects=self.where, wait_seconds=self.wait_seconds)

    def prepare(self, *, create: bool) -> None:
        """Make the folder of a store that may be created, and see that it can be written.

        Raises:
          NoStore: there is no file, and none may be made.
          StoreError: the file or its folder may not be written.
        """
        folder = os.path.dirname(self.path) or os.curdir
        if os.path.isdir(self.path):
            raise self._unusable("it is a folder", "Name a file in it.")
        if not create:
            if not os.path.exists(self.path):
                raise no_store_yet(self.where)  # before there is a lock beside it
            return
        try:
            os.makedirs(folder, exist_ok=True)
        except OSError as error:
            raise self._unusable(f"its folder cannot be made: {error.strerror}") from error
        for path, noun in ((folder, "its folder"), (self.path, "the file")):
            if os.path.exists(path) and not os.access(path, os.W_OK):
                raise self._unusable(
                    f"{noun} may only be read, and runs are written into it",
                    f"Allow this user to write {path}, or name another store in the profile.",
                )

    def exists(self) -> bool:
        """Say whether there is a store, of whatever version.

        A database without tables is none, and so is an empty file, which SQLite takes for one.

        Raises:
          StoreError: there is a file that is no store, or it cannot be read.
        """
        if not os.path.exists(self.path):
            return False
        try:
            with closing(
                sqlite3.connect(
                    # not to be made by looking; a journal left by a killed process is played back
                    f"file:{quote(self.path)}?mode=rw",
                    uri=True,
                    timeout=self.wait_seconds,
                )
            ) as database:
                rows = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
                tables = {name for (name,) in rows}
                if "MLMDEnv" in tables:
                    database.execute("SELECT schema_version FROM MLMDEnv").fetchall()
        except sqlite3.Error as error:
            raise self._broken(error) from error
        if tables and not (tables >= {"MLMDEnv"} or tables >= _FIRST_TABLES):
            raise self._unusable(
                f"it is a database of another program, with the tables {', '.join(sorted(tables))}",
                "Name another file in the profile.",
            )
        return bool(tables)

    def create(self, fill: Callable[[Any], None]) -> None:
        """Make the store. `fill` makes ML Metadata's tables with the settings that it is given.

        The file appears with all its tables, or not at all, whenever this process is killed. One
        that is there already, without tables, stays the same file and gets all or none.
        """
        if os.path.exists(self.path):
            fill(self.settings())
            return
        unfinished = f"{self.path}.new"
        _remove(unfinished)
        # SQLite lets nobody but the owner write what it makes; here the user's umask says who may.
        os.close(os.open(unfinished, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        fill(self._settings(unfinished, "READWRITE"))
        os.rename(unfinished, self.path)

    def settle(self, execution_ids: Sequence[int]) -> None:
        """Do nothing: what a process that has ended had begun is undone when the file is opened."""

    def back_up(self) -> str | None:
        """Copy the store beside itself and return the copy's path."""
        copy = f"{self.path}.backup"
        number = 1
        while os.path.exists(copy):
            number += 1
            copy = f"{self.path}.backup-{number}"
        with (
            closing(sqlite3.connect(self.path)) as source,
            closing(sqlite3.connect(copy)) as target,
        ):
            source.backup(target)
        return copy

    def encode(self, request: Any) -> None:
        """Do nothing: ML Metadata writes all texts as they are."""

    def decode(self, response: Any) -> None:
        """Do nothing."""

    def explain(self, message: str) -> str | None:
        """Return what to do about a message of the database, where that is known."""
        if "readonly database" in message:
            return f"Allow this user to write {self.path} and its folder."
        if "disk is full" in message:
            return f"Make room on the disk of {self.path}."
        if "disk I/O error" in message:
            return (
                f"Look whether the disk of {self.path} has room and no faults (dmesg), and whether "
                "its file system has locks."
            )
        if "malformed" in message or "not a database" in message:
            return "Put a copy of the store in its place."
        return None

    def _settings(self, path: str, mode: str) -> Any:
        settings = type(self.connection)()
        settings.CopyFrom(self.connection)
        settings.sqlite.filename_uri = path
        settings.sqlite.connection_mode = settings.sqlite.ConnectionMode.Value(mode)
        return settings

    def _broken(self, error: sqlite3.Error) -> StoreError:
        text = str(error)
        if "locked" in text:
            return locked_for_long(self.where, self.wait_seconds)
        if "not a database" in text:
            return self._unusable(
                "the file is no SQLite database", "Name another file in the profile."
            )
        if "malformed" in text or "disk I/O" in text:
            return self._unusable(
                f"the file is damaged or cut off ({text})",
                "Put a copy of the store in its place, or move it away to let the next run make "
                "a new store.",
            )
        hint = "Allow this user to read it." if not os.access(self.path, os.R_OK) else None
        return self._unusable(text, hint)

    def _unusable(self, why: str, hint: str | None = None) -> StoreError:
        return StoreError(f"the metadata store {self.path} cannot be used: {why}", hint=hint)


def _remove(path: str) -> None:
    for name in (path, f"{path}-journal"):
        with suppress(FileNotFoundError):
            os.remove(name)
