"""Which files of a folder go into an image, and what they come to.

A `.dockerignore` is read as Docker's own client reads it.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from penstock.project.config import FILE_NAME

IGNORE_FILE = ".dockerignore"
_IMAGE_LINE = re.compile(rb"^[ \t]*(?:core_)?image[ \t]*=.*\n?", re.MULTILINE)

# What no image of a project needs, or should have. A project's own `.dockerignore` may take a path
# back in.
NEVER = (
    "**/.git",
    "**/.hg",
    "**/.svn",
    "**/.venv",
    "**/venv",
    "**/node_modules",
    "**/__pycache__",
    "**/*.egg-info",
    "**/.*_cache",
    "**/.hypothesis",
    "**/.ipynb_checkpoints",
    "**/.penstock",
    "**/*.sqlite",
    "**/.env",
    "**/.env.*",
    "**/.netrc",
    "**/.pypirc",
    "**/.aws",
    "**/.ssh",
    "**/.kube",
    "**/.docker",
    "**/*.pem",
    "**/*.key",
    "**/*.p12",
    "**/*.pfx",
    "**/id_rsa*",
    "**/id_ed25519*",
    "**/*credentials*.json",
    IGNORE_FILE,
)


@dataclass(frozen=True)
class BuildContext:
    """The files that an engine is sent: relative names, and where they are."""

    files: Mapping[str, Path]

    @property
    def size(self) -> int:
        """The bytes of all files."""
        return sum(path.stat().st_size for path in self.files.values())

    def largest(self) -> str:
        """Return the name of the largest file."""
        return max(self.files, key=lambda name: self.files[name].stat().st_size)

    def digest(self, *more: str) -> str:
        """Return a digest of names, contents and what else an image is made from.

        Which image penstock.toml names does not count: that is written down after the image is
        built.
        """
        total = hashlib.sha256(repr(more).encode())
        for name, path in sorted(self.files.items()):
            content = path.read_bytes()
            if name == FILE_NAME:
                content = _IMAGE_LINE.sub(b"", content)
            digest = hashlib.sha256(content).hexdigest()
            total.update(f"{name}\0{os.access(path, os.X_OK)}\0{digest}\n".encode())
        return total.hexdigest()

    def copy_to(self, folder: Path) -> None:
        """Copy the files below a folder."""
        for name, path in self.files.items():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, target)


def read_context(folder: Path, never: Iterable[str] = ()) -> BuildContext:
    """Return the files of a folder that its `.dockerignore`, and patterns before it, leave.

    A link counts as what it leads to, if that is a file of the folder.
    """
    from docker.utils.build import PatternMatcher

    ignore = folder / IGNORE_FILE
    lines = ignore.read_text(encoding="utf-8").splitlines() if ignore.is_file() else []
    patterns = [*never, *(line for line in lines if line.strip() and not line.startswith("#"))]
    root = folder.resolve()
    return BuildContext(
        {
            name: folder / name
            for name in sorted(PatternMatcher(patterns).walk(str(folder)))
            # The matcher always keeps that file, for engines that read it themselves.
            if name != IGNORE_FILE
            and (folder / name).is_file()
            and (folder / name).resolve().is_relative_to(root)
        }
    )
