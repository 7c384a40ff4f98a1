"""The registry of models: versions, and the aliases by which what serves knows them.

    with registry.connect() as store:
        registry.promote(store, "flights", 3, who="ann", why="better at short distances")
        version = registry.resolve(store, "flights", "champion")

A version is an artifact that a run made, with what was known of it when it was registered. Of two
who move an alias at the same moment one succeeds, and the other is told who was first. A version
whose files are gone or altered is given out under no alias.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from penstock.errors import RegistryError
from penstock.metadata.protocol import Store
from penstock.metadata.registered import (
    CHAMPION,
    AliasMove,
    RegisteredModel,
    Version,
    find_model,
    model_names,
    read_model,
    read_models,
)
from penstock.registry.changes import (
    UNSEEN,
    AliasMovedError,
    archive,
    move_alias,
    move_alias_once,
    promote,
    register,
    remove_alias,
    restore,
    rollback,
)
from penstock.registry.differences import Difference, difference
from penstock.registry.integrity import check, resolve

if TYPE_CHECKING:
    from penstock.project.config import Config

__all__ = [
    "CHAMPION",
    "UNSEEN",
    "AliasMove",
    "AliasMovedError",
    "Difference",
    "RegisteredModel",
    "RegistryError",
    "Version",
    "archive",
    "check",
    "connect",
    "difference",
    "find_model",
    "model_names",
    "move_alias",
    "move_alias_once",
    "promote",
    "read_model",
    "read_models",
    "register",
    "remove_alias",
    "resolve",
    "restore",
    "rollback",
]


@contextmanager
def connect(profile: str | None = None, config: Config | None = None) -> Iterator[Store]:
    """Connect to the store of a profile, where a project's models are registered.

    The project is that of this folder, unless its configuration is given.

    Raises:
      ConfigError: there is no such profile.
      StoreError: the store cannot be used, or does not exist yet.
    """
    from penstock.metadata import store as stores
    from penstock.project.config import find_config, read_config

    project = config or read_config(find_config())
    address = project.profile(profile).metadata_address()
    with stores.connect(stores.connection_config(address), create=False) as metadata:
        yield metadata.store
