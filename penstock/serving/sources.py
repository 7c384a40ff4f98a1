"""Where a server's models come from, and what is to be served now: looked at again and again."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from penstock.errors import DataError
from penstock.models.layout import model_directory
from penstock.serving.routes import Servable


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

    folder: Path

    def look(self, before: Servable | None) -> Servable:
        """Return the version with the highest number.

        Raises:
          DataError: there is none.
        """
        numbers = version_numbers(self.folder)
        if not numbers:
            raise DataError("expected folders of versions, by their numbers", path=str(self.folder))
        newest = max(numbers)
        return Servable(newest, model_directory(os.path.join(self.folder, str(newest))))


@dataclass(frozen=True)
class AliasSource:
    """An alias in the registry of a profile: what it stands for is served."""

    model: str
    alias: str
    profile: str | None = None

    def look(self, before: Servable | None) -> Servable:
        """Return the version that the alias stands for, after its files were looked at.

        Raises:
          RegistryError: there is none, or its files are gone or altered.
          StoreError: the store is away.
        """
        from penstock import registry
        from penstock.metadata.store import artifacts_by_id
        from penstock.models.loading import trusted_code

        with registry.connect(self.profile) as store:
            known = registry.read_model(store, self.model).version(self.alias)
            path = model_directory(known.uri)
            if before is not None and (before.version, before.path) == (known.number, path):
                return before
            registry.check(store, known)
            [artifact] = artifacts_by_id(store, [known.artifact_id])
            return Servable(known.number, path, trusted_code(artifact))


def version_numbers(folder: Path) -> list[int]:
    """Return the numbers of the versions in a folder."""
    try:
        entries = list(os.scandir(folder))
    except (NotADirectoryError, FileNotFoundError):
        return []
    return [int(entry.name) for entry in entries if entry.name.isdecimal() and entry.is_dir()]


def of_folder(folder: Path) -> Source:
    """Return the source for a folder: of versions, by their numbers, or of one model.

    Raises:
      DataError: no model is there.
    """
    if version_numbers(folder):
        return FolderSource(folder.absolute())
    number = int(folder.name) if folder.name.isdecimal() else 1
    return FixedSource(Servable(number, os.path.abspath(model_directory(str(folder)))))


def name_of_folder(folder: Path) -> str:
    """Return what a model in a folder is called where nothing else says: as the folder."""
    absolute = Path(os.path.abspath(folder))
    return absolute.parent.name if absolute.name.isdecimal() else absolute.name


def of_run(run_id: str) -> Source:
    """Return the source for the model that a run has made.

    Raises:
      RunError: there is no such run, or it has made no model, or several.
    """
    from penstock.models.loading import trusted_code
    from penstock.models.of_run import model_of_run

    artifact = model_of_run(run_id)
    return FixedSource(Servable(1, model_directory(artifact.uri), trusted_code(artifact)))
