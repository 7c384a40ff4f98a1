"""What commands print. What is not ours, as names, parameters and errors, commands no terminal.

A line stays one line unless several are asked for. Remarks on standard error that nobody can read
are given up; where standard output cannot be written, an `OutputError` says so.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import sys
from collections.abc import Iterable, Iterator
from typing import Any, TextIO

import click

from penstock.safety import printable

# The reader of a pipe has seen enough, or the terminal is gone.
_UNREAD = frozenset({errno.EPIPE, errno.EIO})


class OutputError(OSError):
    """Standard output cannot be written."""

    @property
    def is_unread(self) -> bool:
        """Whether nobody reads it any more, rather than that there is no room for it."""
        return self.errno in _UNREAD

    def __str__(self) -> str:
        return f"the output could not be written: {self.strerror}"


def echo(text: str = "", *, nl: bool = True, err: bool = False) -> None:
    """Print a line, or with `nl=False` a part of one."""
    _write(printable.line(text), nl=nl, err=err)


def secho(
    text: str,
    *,
    fg: str | None = None,
    bold: bool | None = None,
    dim: bool | None = None,
    nl: bool = True,
    err: bool = False,
) -> None:
    """Print a line, or with `nl=False` a part of one, in a style."""
    styled = click.style(printable.line(text), fg=fg, bold=bold, dim=dim)
    _write(styled, nl=nl, err=err)


def echo_indented(text: str, margin: str = "  ", *, err: bool = False) -> None:
    """Print a text whose lines after the first stand behind a margin, so that none looks ours."""
    _write(
        printable.lines(printable.excerpt(text)).rstrip().replace("\n", f"\n{margin}"),
        nl=True,
        err=err,
    )


def echo_text(text: str, *, err: bool = False) -> None:
    """Print a text of several lines as it is, as a file that would be written otherwise."""
    _write(printable.lines(text), nl=False, err=err)


def echo_json(content: Any) -> None:
    """Print JSON, for programs."""
    _write(json.dumps(content, indent=2), nl=True, err=False)


def echo_log(blocks: Iterable[bytes]) -> None:
    """Print a log as it comes; its colors are for terminals."""
    for text in printable.log(blocks, colors=bool(sys.stdout and sys.stdout.isatty())):
        _write(text, nl=False, err=False)


def _write(text: str, *, nl: bool, err: bool) -> None:
    try:
        click.echo(text, nl=nl, err=err)
    except OSError as error:
        if not err:
            raise OutputError(error.errno, error.strerror) from error
        discard(sys.stderr)


@contextlib.contextmanager
def unread_output() -> Iterator[None]:
    """Go on, and to the exit code that is due, where nobody can read the output any more.

    Raises:
      OutputError: it cannot be written for another reason, as a full disk.
    """
    try:
        yield
        _flush_output()
    except OutputError as error:
        if not error.is_unread:
            raise
        discard(sys.stdout)


@contextlib.contextmanager
def unwritten_output() -> Iterator[None]:
    """Go on, and to the exit code that is due, where the output cannot be written; say so."""
    try:
        yield
        _flush_output()
    except OutputError as error:
        discard(sys.stdout)
        if not error.is_unread:
            echo(f"warning: {error}", err=True)


def _flush_output() -> None:
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
    except OSError as error:
        raise OutputError(error.errno, error.strerror) from error


def complete_streams() -> None:
    """Put nothing in the place of standard streams that are closed, before a file gets there."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free, so this one
            os.set_inheritable(number, True)
            setattr(sys, name, os.fdopen(number, "w" if number else "r", encoding="utf-8"))


def discard(stream: TextIO | None) -> None:
    """Write the rest of a stream nowhere; Python would complain once more at its end."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        place = os.open(os.devnull, os.O_WRONLY)
        os.dup2(place, stream.fileno())  # type: ignore[union-attr]  # without one there is nothing
        os.close(place)
