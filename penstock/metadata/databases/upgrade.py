"""Bringing a store that an older ML Metadata made to the version that is installed."""

from __future__ import annotations

from typing import Any

from penstock.metadata.databases.opening import OlderStore, database_of, open_store


def upgrade(config: Any) -> tuple[bool, str | None]:
    """Upgrade a store in place; return whether that was needed, and where the copy of it is.

    Only an SQLite store is copied before: servers have their own tools. What fails half-way is
    rolled back by databases that can (MySQL cannot).

    Raises:
      StoreError: there is no store, it cannot be used, or it is of a newer version.
    """
    database = database_of(config)
    try:
        open_store(database, create=False)
    except OlderStore:
        with database.exclusively():
            copy = database.back_up()
        open_store(database, create=False, upgrade=True)
        return True, copy
    return False, None
