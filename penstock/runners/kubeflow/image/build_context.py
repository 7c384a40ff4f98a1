"""Which files of a folder go into an image, and what they come to.

A `.dockerignore` is read as engines read it: patterns count from the folder, `**` stands for any
number of folders, the last pattern that matches a path or a folder above it decides, and `!` takes
a path back in.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from penstock.project.config import FILE_NAME

IGNORE_FILE = ".dockerignore"
_IMAGE_LINE = re.compile(rb"^[ \t]*image[ \t]*=.*\n?", re.MULTILINE)

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
    ignore = folder / IGNORE_FILE
    lines = ignore.read_text(encoding="utf-8").splitlines() if ignore.is_file() else []
    rules = [_Rule.read(line) for line in (*never, *lines) if _is_pattern(line)]
    root = folder.resolve()
    return BuildContext(
        {
            name: folder / name
            for name in sorted(_names(folder, "", rules))
            if (folder / name).is_file() and (folder / name).resolve().is_relative_to(root)
        }
    )


@dataclass(frozen=True)
class _Rule:
    text: str
    pattern: re.Pattern[str]
    takes_back: bool

    @classmethod
    def read(cls, line: str) -> _Rule:
        takes_back = line.strip().startswith("!")
        text = os.path.normpath(line.strip().removeprefix("!").strip()).strip("/")
        return cls(text, re.compile(_expression(text), re.DOTALL), takes_back)

    def matches(self, name: str) -> bool:
        """Whether it matches a path or a folder above it."""
        parts = name.split("/")
        return any(self.pattern.fullmatch("/".join(parts[: i + 1])) for i in range(len(parts)))

    def may_match_below(self, folder: str) -> bool:
        """Whether there could be a path below a folder that it matches."""
        parts, own = folder.split("/"), self.text.split("/")
        if "**" in self.text or len(own) <= len(parts):
            return "**" in self.text
        return all(
            re.fullmatch(_expression(mine), part) for mine, part in zip(own, parts, strict=False)
        )


def _names(folder: Path, below: str, rules: list[_Rule]) -> Iterator[str]:
    for entry in os.scandir(folder / below):
        name = f"{below}/{entry.name}" if below else entry.name
        ignored = False
        for rule in rules:
            if rule.takes_back is ignored and rule.matches(name):
                ignored = not rule.takes_back
        if entry.is_dir(follow_symlinks=False):
            if not ignored or any(r.takes_back and r.may_match_below(name) for r in rules):
                yield from _names(folder, name, rules)
        elif not ignored:
            yield name


def _is_pattern(line: str) -> bool:
    return bool(line.strip()) and not line.startswith("#")


def _expression(pattern: str) -> str:
    parts = re.findall(r"\*\*/|\*\*|\*|\?|\[[^\]]*\]|\\.|.", pattern, re.DOTALL)
    known = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return "".join(
        known.get(part)
        or (part.replace("[^", "[^/") if part.startswith("[") else re.escape(part.lstrip("\\")))
        for part in parts
    )
