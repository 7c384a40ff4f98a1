"""Whether code and artifacts on the disk are still what the store has recorded of them.

What a store names is not imported for this: files are found and read, and where only an import
could tell, the answer is that nobody knows.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from importlib.machinery import PathFinder
from typing import Any

from penstock.errors import PenstockError
from penstock.execution.cache import CODE_PARAMETERS, merged_digests, module_digests
from penstock.execution.contents import local_path, measure
from penstock.metadata.reading import ArtifactRecord
from penstock.project.source import source_digests
from penstock.safety.presence import is_there

SAME, CHANGED, UNKNOWN = "same", "changed", "unknown"
_OURS = ("penstock.components.", "penstock.pipelines.")


def is_intact(artifact: ArtifactRecord) -> bool | None:
    """Return whether an artifact has the contents that it was published with.

    None where these were not recorded, or where the artifact is on no local disk any more.
    """
    path = local_path(artifact.uri)
    if path is None or not artifact.digest or not is_there(path):
        return None
    return measure(path).digest == artifact.digest


def code_on_disk(
    type_name: str,
    parameters: Mapping[str, Any],
    recorded: Mapping[str, str],
    folders: Iterable[str] = (),
) -> dict[str, str]:
    """Return for each file or component of `recorded` whether it is the same, changed or unknown.

    `type_name` is the execution's type, for a component of ours its import path. Modules of the
    user are looked for in `folders`, and then where Python looks.
    """
    now = _digests_now(type_name, parameters, [*folders, *sys.path])
    return {
        name: UNKNOWN if name not in now else SAME if now[name] == digest else CHANGED
        for name, digest in recorded.items()
    }


def _digests_now(
    type_name: str, parameters: Mapping[str, Any], folders: list[str]
) -> dict[str, str]:
    module, _, name = type_name.rpartition(".")
    sources = [_of_module(module, name, folders)]
    for parameter in CODE_PARAMETERS:
        named = parameters.get(parameter)
        if not isinstance(named, str) or not named:
            continue
        if os.path.isfile(named):
            sources.append(_of_file(named, None))
        elif parameter == "module_path":
            sources.append(_of_module(named, None, folders))
        elif "." in named and parameter != "module_file":
            user_module, _, function = named.rpartition(".")
            sources.append(_of_module(user_module, function, folders))
    return merged_digests(sources)


def _of_module(module: str, entry: str | None, folders: list[str]) -> dict[str, str]:
    if module.startswith(_OURS):
        return module_digests(module, entry)
    path = _find(module.split("."), folders) if module else None
    return _of_file(path, entry) if path else {}


def _of_file(path: str, entry: str | None) -> dict[str, str]:
    try:
        return source_digests(path, entry=entry)
    except (PenstockError, OSError):
        return {}


def _find(parts: list[str], folders: list[str]) -> str | None:
    """Return the file of a module without importing the packages that it is in."""
    search_path = folders
    for position in range(len(parts)):
        spec = PathFinder.find_spec(".".join(parts[: position + 1]), search_path)
        if spec is None:
            return None
        if position == len(parts) - 1:
            return spec.origin if spec.origin and spec.origin.endswith(".py") else None
        if spec.submodule_search_locations is None:
            return None
        search_path = list(spec.submodule_search_locations)
    return None
