"""What a daemon has imported, and whether any of it has changed since."""

from __future__ import annotations

import importlib.util
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from penstock.project.user_code import is_of_others

_Stamp = tuple[int, int, int] | None
_OF_INSTALLATION = (".dist-info", ".egg-info", ".egg-link", ".pth")


@dataclass
class Installed:
    """The files of the modules that this process has imported, and the packages on a path."""

    path: tuple[str, ...]
    _stamps: dict[str, _Stamp] = field(default_factory=dict)
    _packages: dict[str, _Stamp] = field(default_factory=dict)
    _doubtful: str = ""

    def note(self, since: float) -> None:
        """Note what has been imported since a time of day; the packages at the first call."""
        self._packages = self._packages or dict(_packages(self.path))
        for path in _files():
            if path not in self._stamps:
                self._stamps[path] = _stamp(path)
                self._doubtful = self._doubtful or _if_changed(path, since)

    def change(self) -> str:
        """Return what has changed, so that this process has old code; an empty text if nothing."""
        if self._doubtful:
            return f"{self._doubtful} was written while it was imported"
        for path, stamp in self._stamps.items():
            if _stamp(path) != stamp:
                return f"{path} has changed"
        packages = dict(_packages(self.path))
        for path in sorted({*packages, *self._packages}):
            if packages.get(path) != self._packages.get(path):
                return f"{path} has changed"
        return ""


def is_installed(module: str) -> bool:
    """Whether a module is Python's, ours or of an installed package, and no user's source."""
    try:
        spec = importlib.util.find_spec(module.partition(".")[0])
    except (ImportError, ValueError):
        return False
    if spec is None:
        return False
    found = [*(spec.submodule_search_locations or ()), *([spec.origin] if spec.origin else [])]
    return all(map(is_of_others, found))


def began() -> float:
    """Return the time of day before an import, with room for a clock that counts in steps."""
    return time.time() - 0.05


def _files() -> Iterator[str]:
    for module in list(sys.modules.values()):
        path = getattr(module, "__file__", None)
        if isinstance(path, str):
            yield path


def _packages(path: Sequence[str]) -> Iterator[tuple[str, _Stamp]]:
    for folder in dict.fromkeys(path):
        if os.path.isdir(folder):
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.name.endswith(_OF_INSTALLATION):
                        yield entry.path, _stamp(entry.path)


def _stamp(path: str) -> _Stamp:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def _if_changed(path: str, since: float) -> str:
    try:
        return path if os.stat(path).st_ctime >= since else ""
    except OSError:
        return ""
