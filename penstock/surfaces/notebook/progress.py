"""Showing a node that runs below its cell, in a line that stays when it is done."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from penstock.runners.local.display import (
    Display,
    NodeView,
    default_display,
    queued_line,
    waiting_line,
)
from penstock.surfaces.notebook.blocks import Line, to_html, to_text
from penstock.surfaces.notebook.cells import shell

_EVERY_SECONDS = 0.5


class CellLine:
    """A line below the running cell that changes in place."""

    def __init__(self) -> None:
        self._handle: Any = None
        self._nodes: Mapping[str, NodeView] = {}
        self._updated = 0.0
        self._waiting = ""

    def start(self, title: str, nodes: Mapping[str, NodeView]) -> None:
        """Begin the line."""
        from IPython.display import display

        self._nodes = nodes
        self._handle = display(_Shown(self._lines()), display_id=True)

    def changed(self, node: NodeView) -> None:
        """Write the line anew."""
        self._update()

    def refresh(self) -> None:
        """Write the line anew, but not more often than anybody would see."""
        if time.monotonic() - self._updated > _EVERY_SECONDS:
            self._update()

    def waiting(self, reason: str) -> None:
        """Write below it what is waited for, until that is over."""
        self._waiting = reason
        self._update()

    def queued(self, reason: str) -> None:
        """Print a line: there is none that changes before the run begins."""
        from IPython.display import display

        display(_Shown([Line(queued_line(reason), "quiet")]))

    def stop(self) -> None:
        """Write the line for the last time."""
        self._update()

    def _update(self) -> None:
        self._updated = time.monotonic()
        if self._handle is not None:
            self._handle.update(_Shown(self._lines()))

    def _lines(self) -> list[Line]:
        lines = [
            Line(f"{node.name} {node.state.value}  {_first_line(node.details())}".rstrip(), "quiet")
            for node in self._nodes.values()
        ]
        return [*lines, Line(waiting_line(self._waiting), "quiet")] if self._waiting else lines


class _Shown:
    def __init__(self, lines: list[Line]) -> None:
        self._lines = lines

    def __repr__(self) -> str:
        return to_text(self._lines)

    def _repr_html_(self) -> str:
        return to_html(self._lines, styled=False)


def _first_line(text: str) -> str:
    first = text.partition("\n")[0]
    return first if len(first) <= 100 else f"{first[:99]}…"


def progress() -> Display:
    """Return a line below the cell in notebooks, what local runs show on a terminal elsewhere."""
    notebook_shell = shell()
    return CellLine() if getattr(notebook_shell, "kernel", None) is not None else default_display()
