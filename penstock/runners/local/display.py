"""Showing a run as it goes: a live line a node on a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TextIO

from penstock.execution.schedule import State
from penstock.safety.printable import line


@dataclass
class NodeView:
    """What is shown of a node; `item` is that of a loop for which it runs."""

    name: str
    state: State = State.WAITING
    began: float | None = None
    seconds: float | None = None
    counts: dict[str, int] = field(default_factory=dict)
    note: str = ""
    item: str = ""

    def elapsed(self) -> float | None:
        """Seconds of work so far."""
        if self.seconds is not None:
            return self.seconds
        return None if self.began is None else time.monotonic() - self.began

    def details(self) -> str:
        """Return time, counts and note in one line."""
        parts = [f"({self.item})"] if self.item else []
        elapsed = self.elapsed()
        if elapsed is not None and self.state is not State.CACHED:
            parts.append(f"{elapsed:.1f} s")
        parts += [f"{value:,} {name}" for name, value in self.counts.items()]
        if self.note:
            parts.append(self.note)
        return line("  ".join(parts))


class Display(Protocol):
    """Something that shows a run; `nodes` are the same objects throughout."""

    def start(self, title: str, nodes: Mapping[str, NodeView]) -> None:
        """The run begins."""

    def changed(self, node: NodeView) -> None:
        """A node's state has changed."""

    def refresh(self) -> None:
        """Some time has passed, or a node has reported progress."""

    def waiting(self, reason: str) -> None:
        """The run waits for its metadata store, or no more where the reason is empty."""

    def queued(self, reason: str) -> None:
        """The run has not begun: as many of its pipeline are under way as may be."""

    def stop(self) -> None:
        """The run is over, however it ended."""


class Silent:
    """Shows nothing."""

    def start(self, title: str, nodes: Mapping[str, NodeView]) -> None:
        """Show nothing."""

    def changed(self, node: NodeView) -> None:
        """Show nothing."""

    def refresh(self) -> None:
        """Show nothing."""

    def waiting(self, reason: str) -> None:
        """Show nothing."""

    def queued(self, reason: str) -> None:
        """Show nothing."""

    def stop(self) -> None:
        """Show nothing."""


class PlainLines:
    """One line for each change, for logs and pipes."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream = stream or sys.stderr
        self._width = 0

    def start(self, title: str, nodes: Mapping[str, NodeView]) -> None:
        """Write the title."""
        self._width = max((len(name) for name in nodes), default=0)
        self._write(title)

    def changed(self, node: NodeView) -> None:
        """Write the node's line."""
        item = f"({node.item})" if node.item else ""
        details = item if node.state is State.RUNNING else node.details()
        text = f"{node.name:<{self._width}}  {node.state.value:<8}  {details}"
        self._write(text.rstrip())

    def refresh(self) -> None:
        """Write nothing: only changes are worth a line."""

    def waiting(self, reason: str) -> None:
        """Write a line, and another one when it is over."""
        self._write(waiting_line(reason))

    def queued(self, reason: str) -> None:
        """Write a line."""
        self._write(queued_line(reason))

    def stop(self) -> None:
        """Write nothing."""

    def _write(self, text: str) -> None:
        print(line(text), file=self.stream, flush=True)


class Forgiving:
    """Shows a run by another display, and nothing more once that cannot write: the run goes on."""

    def __init__(self, display: Display) -> None:
        self._display = display

    def start(self, title: str, nodes: Mapping[str, NodeView]) -> None:
        """Let it begin."""
        self._try(lambda: self._display.start(title, nodes))

    def changed(self, node: NodeView) -> None:
        """Let it show the change."""
        self._try(lambda: self._display.changed(node))

    def refresh(self) -> None:
        """Let it show that time has passed."""
        self._try(self._display.refresh)

    def waiting(self, reason: str) -> None:
        """Let it show that the run waits."""
        self._try(lambda: self._display.waiting(reason))

    def queued(self, reason: str) -> None:
        """Let it show that the run has not begun."""
        self._try(lambda: self._display.queued(reason))

    def stop(self) -> None:
        """Let it stop."""
        self._try(self._display.stop)

    def _try(self, show: Callable[[], None]) -> None:
        try:
            show()
        except OSError:
            failed, self._display = self._display, Silent()
            with contextlib.suppress(OSError):
                failed.stop()


_STYLES = {
    State.WAITING: ("·", "dim"),
    State.RUNNING: ("▶", "bold cyan"),
    State.DONE: ("✔", "green"),
    State.CACHED: ("✔", "green dim"),
    State.FAILED: ("✘", "bold red"),
    State.CANCELED: ("✘", "yellow"),
    State.SKIPPED: ("–", "dim"),
}


class LiveLines:
    """A line a node that changes in place, for terminals."""

    def __init__(self, console: Any = None) -> None:
        from rich.console import Console

        self.console = console or Console(stderr=True)
        self._live: Any = None
        self._nodes: Mapping[str, NodeView] = {}
        self._waiting = ""

    def start(self, title: str, nodes: Mapping[str, NodeView]) -> None:
        """Begin to draw."""
        from rich.live import Live

        self._nodes = nodes
        self.console.print(line(title), highlight=False, markup=False)
        self._live = Live(
            get_renderable=self._table,
            console=self.console,
            refresh_per_second=5,
            auto_refresh=False,
        )
        self._live.start()

    def changed(self, node: NodeView) -> None:
        """Draw anew."""
        self.refresh()

    def refresh(self) -> None:
        """Draw anew."""
        if self._live is not None:
            self._live.refresh()

    def waiting(self, reason: str) -> None:
        """Draw a line below the nodes until it is over."""
        self._waiting = reason
        if self._live is None and reason:
            self.console.print(waiting_line(reason), highlight=False, markup=False)
        self.refresh()

    def queued(self, reason: str) -> None:
        """Write a line above all that is drawn later."""
        self.console.print(queued_line(reason), highlight=False, markup=False)

    def stop(self) -> None:
        """Draw the last picture and leave it standing."""
        live, self._live = self._live, None
        if live is not None:
            try:
                live.refresh()
            finally:
                live.stop()

    def _table(self) -> Any:
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        table = Table.grid(padding=(0, 2))
        for node in self._nodes.values():
            mark, style = _STYLES[node.state]
            table.add_row(
                Text(mark, style=style),
                Text(line(node.name)),
                Text(node.state.value, style=style),
                Text(node.details(), style="dim"),
            )
        if not self._waiting:
            return table
        return Group(table, Text(waiting_line(self._waiting), style="yellow"))


def waiting_line(reason: str) -> str:
    """Return what is said of a run that waits for its metadata store, or of the end of that."""
    text = f"waiting for the metadata store: {reason}" if reason else "the metadata store answers"
    return line(text)


def queued_line(reason: str) -> str:
    """Return what is said of a run that waits until it may begin."""
    return line(f"waiting to begin: {reason}")


def default_display() -> Display:
    """Return live lines on a terminal, plain lines elsewhere, nothing without standard error."""
    if sys.stderr is None:
        return Silent()
    return LiveLines() if sys.stderr.isatty() else PlainLines()
