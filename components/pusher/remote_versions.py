"""Versions of a model below a remote directory, in an object store.

Object stores cannot rename a directory, so `saved_model.pb` is copied last, as TFX does: model
servers take it as the sign that a version is complete. Of other models it is the file of facts.
"""

from __future__ import annotations

import os

from penstock.components.pusher import ledger, local_versions
from penstock.data.files import remote
from penstock.errors import StorageError
from penstock.models.facts import FACTS_FILE
from penstock.models.layout import SAVED_MODEL_FILE


def push(
    source: str,
    base_directory: str,
    *,
    version_names: str,
    version: str | None = None,
    keep_last: int | None = None,
    push_name: str = "",
) -> str:
    """Copy the directory `source` to a new version below `base_directory`; return its URI.

    A push with a `push_name` that has made a version already makes no other.

    Raises:
      StorageError: the store cannot be reached, or does not let us write there.
      ParameterError: `version` is there already.
    """
    base = base_directory.rstrip("/")
    taken = remote.names(base)
    # One that was begun is completed: its files are copied again.
    name = ledger.version_of(base, push_name) if push_name else None
    if name is None:
        name = local_versions.new_name(version_names, version, taken, base)
        if push_name:
            ledger.write(base, push_name, name)
    destination = remote.join(base, name)
    for file in _files(source):
        remote.upload(os.path.join(source, file), remote.join(destination, file))
    for old in local_versions.surplus(sorted({*taken, name}), name, keep_last):
        _remove(remote.join(base, old))
    return destination


def _remove(version: str) -> None:
    """Remove an old version; where that fails the new one is published all the same."""
    try:
        remote.remove(version)
    except StorageError as error:
        print(f"The old version {version} could not be removed: {error}")


def _files(source: str) -> list[str]:
    files = [
        os.path.relpath(os.path.join(folder, file), source).replace(os.sep, "/")
        for folder, _, names in os.walk(source)
        for file in names
    ]
    return sorted(files, key=lambda file: (file == SAVED_MODEL_FILE, file == FACTS_FILE, file))
