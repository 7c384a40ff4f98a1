"""Modules made of cells: what worker processes run, and what the exported pipeline imports."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penstock.errors import PenstockError, UserCodeError
from penstock.surfaces.notebook.cells import Cells, notebook_cells

_SIGN = "From the cells of the notebook session"


@dataclass
class CellModules:
    """The modules of a session, written into `folder` anew whenever a cell has changed them.

    `components` names the one with the components; the names of those that are used so far are in
    `used`, and the module files with other functions in `files`.
    """

    folder: Path
    session: str
    components: str
    used: dict[str, None]
    files: dict[str, tuple[str, ...]]

    def homes(self) -> dict[str, str]:
        """Return the module that stands for the notebook's own."""
        return {"__main__": self.components}

    def write_component(self, name: str) -> None:
        """Write the module of components, with one more; it is imported anew.

        Others that cannot stand in a module now are left out: they are told when they are to run.
        """
        # Before the kernel was restarted there were cells of which nothing but this file is left.
        cells = notebook_cells(before=self._text(f"{self.components}.py"))
        if cells.cell_of(name) is None:
            raise UserCodeError(
                f"the component {name} is defined by no cell",
                hint="Define it with @component in a cell, outside of functions.",
            )
        cells.extract(name)
        self.used[name] = None
        extract = cells.extract(*(n for n in self.used if n == name or _can_stand(n, cells)))
        self._write(f"{self.components}.py", extract.source(self._docstring("Components.")))
        sys.modules.pop(self.components, None)

    def write_functions(self, file: str, functions: tuple[Callable[..., Any], ...]) -> str:
        """Write a module file with functions of cells, and return its name."""
        names = tuple(f.__name__ for f in functions)
        if not names or not file.endswith(".py"):
            raise UserCodeError(
                f"expected the name of a Python file and functions for it, got {file!r} and "
                f"{len(names)} functions",
                hint='Write session.module("model.py", run_fn).',
            )
        extract = notebook_cells().extract(*names)
        self.files[file] = names
        self._write(file, extract.source(self._of_functions(names)))
        return file

    def _text(self, file: str) -> str:
        path = self.folder / file
        return path.read_text(encoding="utf-8") if path.exists() else ""

    def rewrite(self) -> None:
        """Write the module files anew whose functions cells have changed."""
        cells = notebook_cells()
        for file, names in self.files.items():
            self._write(file, cells.extract(*names).source(self._of_functions(names)))

    def _of_functions(self, names: tuple[str, ...]) -> str:
        return self._docstring(f"Defines {', '.join(names)}.")

    def _docstring(self, what: str) -> str:
        return f"{what}\n\n{_SIGN} {self.session}.\n"

    def _write(self, file: str, text: str) -> None:
        path, before = self.folder / file, self._text(file)
        if before == text:
            return
        if before and f"{_SIGN} {self.session}." not in before:
            raise PenstockError(
                f"{file} would be written from the cells of this notebook, but there is such a "
                "file already, which is not from this session",
                hint="Give the session's file another name, or move the one that is there.",
            )
        path.write_text(text, encoding="utf-8")
        # Python takes a file of one size and second for unchanged.
        with contextlib.suppress(OSError):
            os.unlink(importlib.util.cache_from_source(str(path)))
        importlib.invalidate_caches()


def _can_stand(name: str, cells: Cells) -> bool:
    if cells.cell_of(name) is None:
        return False
    try:
        cells.extract(name)
    except UserCodeError:
        return False
    return True
