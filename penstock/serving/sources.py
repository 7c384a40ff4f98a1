"""Where a server's models come from, and what is to be served now: looked at again and again."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from penstock.errors import DataError
from penstock.models.layout import model_directory, newest_version
from penstock.safety.containment import is_name
from penstock.serving import references
from penstock.serving.references import FoundModel
from penstock.serving.routes import Servable

if TYPE_CHECKING:
    from penstock.project.config import Config


class Source(Protocol):
    """What a model is served from."""

    def look(self, before: Servable | None) -> Servable:
        """Return the version that is to be served now; `before` is what was found last.

        Raises:
          PenstockError: there is none, or it cannot be seen whether there is.
        """
        ...


@dataclass(frozen=True)
class FixedSource:
    """A model that stays as it is."""

    servable: Servable

    def look(self, before: Servable | None) -> Servable:
        """Return the model."""
        return self.servable


@dataclass(frozen=True)
class FolderSource:
    """A folder with a folder for each version, by its number, as a Pusher and others leave it.

    A version is there when its folder is: whoever pushes renames it into place.
    """

    folder: str

    def look(self, before: Servable | None) -> Servable:
        """Return the version with the highest number.

        Raises:
          DataError: there is none.
        """
        newest = newest_version(self.folder)
        if newest is None:
            raise DataError("expected folders of versions, by their numbers", path=self.folder)
        return Servable(newest, model_directory(os.path.join(self.folder, str(newest))))


@dataclass(frozen=True)
class AliasSource:
    """An alias, or a version, in the registry of a profile: what it stands for is served."""

    model: str
    alias: str
    profile: str | None = None
    config: Config | None = None

    def look(self, before: Servable | None) -> Servable:
        """Return the version that the alias stands for, after its files were looked at.

        Raises:
          RegistryError: there is none, or its files are gone or altered.
          StoreError: the store is away.
        """
        from penstock import registry

        with registry.connect(self.profile, self.config) as store:
            known = registry.read_model(store, self.model).version(self.alias)
            found = references.of_version(store, known)
            if before is None or (before.version, before.path) != (found.version, found.path):
                registry.check(store, known)
            return _servable(found)


def source_of(
    reference: str, *, profile: str | None = None, config: Config | None = None
) -> tuple[Source, str]:
    """Return the source that a text means, and how its model is called.

    A folder of versions and an alias are followed; any other model stays as it is.

    Raises:
      PenstockError: there is no such model, or it is not clear which is meant.
    """
    if newest_version(reference) is not None:
        folder = os.path.abspath(reference)
        return FolderSource(folder), references.name_of_folder(folder)
    name, at, alias = reference.partition("@")
    if at and is_name(name) and not os.path.exists(reference):
        return AliasSource(name, alias, profile, config), name
    found = references.find_model(reference, profile=profile, config=config)
    return FixedSource(_servable(found)), found.name


def _servable(found: FoundModel) -> Servable:
    return Servable(found.version, found.path, found.trusted)
