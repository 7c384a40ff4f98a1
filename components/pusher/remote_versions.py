"""Versions of a model below a remote directory, by TFX's file system plugins.

Object stores cannot rename a directory, so `saved_model.pb` is copied last, as TFX does: model
servers take it as the sign that a version is complete.
"""

from __future__ import annotations

import os
from typing import Any

from penstock.components.pusher import local_versions
from penstock.components.trainer.layout import SAVED_MODEL_FILE


def push(
    source: str,
    base_directory: str,
    *,
    version_names: str,
    version: str | None = None,
    keep_last: int | None = None,
) -> str:
    """Copy the directory `source` to a new version below `base_directory`; return its URI."""
    from tfx.dsl.io import fileio

    base = base_directory.rstrip("/")
    taken = _versions(fileio, base)
    name = local_versions.new_name(version_names, version, taken, base)
    destination = f"{base}/{name}"
    for file in _files(source):
        target = f"{destination}/{file}"
        fileio.makedirs(os.path.dirname(target))
        fileio.copy(os.path.join(source, file), target)
    for old in local_versions.surplus([*taken, name], name, keep_last):
        fileio.rmtree(f"{base}/{old}")
    return destination


def _versions(fileio: Any, base: str) -> list[str]:
    if not fileio.exists(base):
        return []
    return [name.rstrip("/") for name in fileio.listdir(base)]


def _files(source: str) -> list[str]:
    files = [
        os.path.relpath(os.path.join(folder, file), source)
        for folder, _, names in os.walk(source)
        for file in names
    ]
    return sorted(files, key=lambda file: (file == SAVED_MODEL_FILE, file))
