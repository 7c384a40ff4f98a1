"""A folder that is brought into states: each is made once, and copied back when it is asked for."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from penstock_support.processes import alive, wait_until

Value = TypeVar("Value")


@dataclass(frozen=True)
class States:
    """A folder below `base`, always at the same path, since metadata stores have paths in them.

    Processes that work on it have `mark` in their environment: nobody takes the folder away from
    them, or copies it, before they have ended.
    """

    base: Path
    mark: str = field(default_factory=lambda: secrets.token_hex(8))
    _told: dict[str, Any] = field(default_factory=dict, init=False)

    @property
    def folder(self) -> Path:
        """The folder."""
        return self.base / "folder"

    def empty(self) -> Path:
        """Take everything away that the folder has, and return it."""
        self._settle()
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()
        return self.folder

    def bring_to(self, state: str, make: Callable[[], Value]) -> Value:
        """Bring the folder into a state; the first time alone, `make` makes it.

        What `make` has returned is returned to all, so it is a value that nobody changes.
        """
        kept = self.base / state
        if kept.exists():
            shutil.rmtree(self.folder)
            shutil.copytree(kept, self.folder, symlinks=True)
        else:
            self._told[state] = make()
            self._settle()
            # Under its name when it is whole: a state that could not be kept is made anew.
            part = self.base / f"{state}.part"
            shutil.copytree(self.folder, part, symlinks=True)
            part.rename(kept)
        told: Value = self._told[state]
        return told

    def _settle(self) -> None:
        wait_until(lambda: not alive(self.mark))
