"""Paths of the compiling machine, written so that they can be found again in the image.

What lies in an installed package is `@{package:NAME}/…`: the image has installed it too, wherever.
What lies in the project's folder is `@{project}/…`: the image has a copy of the folder.
"""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from penstock.errors import RunError

PROJECT = "@{project}"
_INSTALLED = ("site-packages", "dist-packages")
_PLACE = re.compile(r"@\{(?:project|package:([A-Za-z_][\w.]*))\}")


def package_folders() -> dict[str, str]:
    """Return the folders of the packages that are imported and that an image has installed too."""
    folders: dict[str, str] = {}
    for name, module in sorted(sys.modules.items()):
        for folder in _folders(module):
            # What lies below its parent is found by way of that, whatever else is imported.
            below_parent = folders.get(os.path.dirname(folder)) == name.rpartition(".")[0]
            ours = name.partition(".")[0] == "penstock"
            if (ours or is_installed(folder)) and not below_parent:
                folders.setdefault(folder, name)
    return folders


def _folders(module: object) -> Iterator[str]:
    entries = getattr(module, "__dict__", {}).get("__path__")
    try:
        yield from (entry for entry in entries or () if isinstance(entry, str))
    except TypeError:
        return  # some libraries keep stand-ins in sys.modules


def is_installed(folder: str | os.PathLike[str]) -> bool:
    """Whether a folder belongs to what is installed with a package manager."""
    return any(part in _INSTALLED for part in Path(folder).parts)


def relocate(text: str, project: Path, packages: Mapping[str, str]) -> str:
    """Return a text in which paths in the project or in a package are written as places."""
    roots = {**packages, str(project): ""}
    if os.sep not in text or not any(root in text for root in roots):
        return text
    for root in sorted(roots, key=len, reverse=True):
        name = roots[root]
        location = f"@{{package:{name}}}" if name else PROJECT
        # A path ends where another begins, or at what does not stand in the names of files.
        pattern = rf"(?<![\w./-]){re.escape(root)}(?![\w.-])"
        text = re.sub(pattern, location, text)
    return text


def localize(text: str, project_folder: str) -> str:
    """Return a text with the paths that its places have on this machine.

    Raises:
      RunError: a package is not installed here.
    """

    def path(match: re.Match[str]) -> str:
        package = match.group(1)
        return _package_folder(package) if package else project_folder

    return _PLACE.sub(path, text)


def _package_folder(package: str) -> str:
    try:
        spec = importlib.util.find_spec(package)
    except ImportError:
        spec = None
    locations = list(spec.submodule_search_locations or ()) if spec else []
    if not locations:
        raise RunError(
            f"the package {package} is not installed in this image",
            hint="Build the image with what the pipeline needs: penstock build.",
        )
    return str(locations[0])
