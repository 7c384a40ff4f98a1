"""Which files decide what packages and programs a pipeline runs with, and what they say.

Comments, the order of packages and settings of other tools do not count.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from penstock.operations.delivery.descriptions import InputFile, digest_of

_REQUIREMENT = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)\s*(.*)")
_TOML_LOCKS = ("uv.lock", "poetry.lock", "pdm.lock", "pylock.toml")
_PLAIN = (
    "Dockerfile",
    ".dockerignore",
    "environment.yml",
    "environment.yaml",
    "conda-lock.yml",
    "Pipfile",
    "setup.py",
    "setup.cfg",
    ".python-version",
    "runtime.txt",
)
_PATTERNS = ("requirements*.txt", "requirements/*.txt", "constraints*.txt", "pylock.*.toml")
# What of pyproject.toml decides which packages there are; the rest is about other tools.
_PROJECT_TABLES = ("project", "build-system", "dependency-groups")
_TOOLS = ("uv", "poetry", "pdm", "hatch", "setuptools", "pixi")


def read_inputs(folder: Path, top: Path) -> dict[str, InputFile]:
    """Return such files of a project's folder, and of those above it up to the repository's."""
    files: dict[str, InputFile] = {}
    place = folder
    while True:
        for path in _named(place):
            read = read_input(path.name, path.read_text(encoding="utf-8", errors="replace"))
            files[os.path.relpath(path, folder)] = read
        if place == top or place == place.parent:
            return files
        place = place.parent


def _named(folder: Path) -> Iterator[Path]:
    names = (*_TOML_LOCKS, *_PLAIN, "Pipfile.lock", "pyproject.toml")
    candidates = {folder / name for name in names}
    candidates |= {path for pattern in _PATTERNS for path in folder.glob(pattern)}
    yield from sorted(path for path in candidates if path.is_file())


def read_input(name: str, text: str) -> InputFile:
    """Return what a file of that name says; one that is not of its form counts line by line."""
    try:
        if name in _TOML_LOCKS or name.startswith("pylock."):
            return InputFile(_toml_lock(tomllib.loads(text)), is_lock=True)
        if name == "Pipfile.lock":
            return InputFile(_pipfile_lock(json.loads(text)), is_lock=True)
        if name == "pyproject.toml":
            return InputFile(_project_tables(tomllib.loads(text)))
    except (ValueError, TypeError, KeyError, AttributeError):
        return InputFile(lines=tuple(text.splitlines()))
    if name.endswith(".txt") and name != "runtime.txt":
        entries = _requirements(text)
        pinned = [entry.startswith("==") for entry in entries.values() if entry]
        return InputFile(entries, is_lock=bool(pinned) and all(pinned))
    return InputFile(lines=tuple(line.rstrip() for line in text.splitlines() if _says(line)))


def _says(line: str) -> bool:
    text = line.strip()
    return bool(text) and (not text.startswith("#") or text.startswith(("# syntax", "# escape")))


def package_name(text: str) -> str:
    """Return the name under which indexes know a package, however it is written."""
    return re.sub(r"[-_.]+", "-", text).lower()


def _toml_lock(content: Mapping[str, Any]) -> dict[str, str]:
    """Return the versions in a lock; what else it says of a package is in a digest."""
    versions: dict[str, list[str]] = {}
    for package in content.get("package", content.get("packages", ())):
        details = digest_of(json.dumps(package, sort_keys=True, default=str))[:8]
        version = str(package.get("version", "local"))
        versions.setdefault(package_name(package["name"]), []).append(f"{version} ({details})")
    return {name: ", ".join(sorted(found)) for name, found in sorted(versions.items())}


def _pipfile_lock(content: Mapping[str, Any]) -> dict[str, str]:
    packages = content.get("default", {})
    return {
        package_name(name): f"{str(entry.get('version', 'local')).removeprefix('==')} "
        f"({digest_of(json.dumps(entry, sort_keys=True))[:8]})"
        for name, entry in sorted(packages.items())
    }


def _project_tables(content: Mapping[str, Any]) -> dict[str, str]:
    tools = {name: table for name, table in content.get("tool", {}).items() if name in _TOOLS}
    tables = {name: content[name] for name in _PROJECT_TABLES if name in content}
    return dict(_flattened({**tables, **({"tool": tools} if tools else {})}, ""))


def _flattened(table: Any, prefix: str) -> Iterator[tuple[str, str]]:
    if isinstance(table, Mapping):
        for name, value in sorted(table.items()):
            yield from _flattened(value, f"{prefix}.{name}" if prefix else str(name))
    elif isinstance(table, list) and all(isinstance(item, str) for item in table):
        for name, rest in _by_name(table).items():
            yield f"{prefix}.{name}", rest
    else:
        yield prefix, json.dumps(table, sort_keys=True, default=str)


def _requirements(text: str) -> dict[str, str]:
    joined = re.sub(r"\\\n", " ", text)
    lines = (re.sub(r"(^|\s)#.*", "", line).strip() for line in joined.splitlines())
    return _by_name(line for line in lines if line)


def _by_name(requirements: Iterable[str]) -> dict[str, str]:
    """Return requirements by their packages; a line that names none stands for itself."""
    entries: dict[str, list[str]] = {}
    for line in requirements:
        match = _REQUIREMENT.fullmatch(" ".join(line.split()))
        if match is None:
            entries.setdefault(line, []).append("")
        else:
            entries.setdefault(package_name(match[1]), []).append(match[2])
    return {name: ", ".join(sorted(found)) for name, found in sorted(entries.items())}
