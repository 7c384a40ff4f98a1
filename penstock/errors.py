"""The errors that Penstock raises.

    PenstockError
    ├── ComponentError        a component is declared wrongly
    │   └── WiringError       a component is called with the wrong inputs or parameters
    ├── PipelineError         a pipeline does not hold together
    ├── ParameterError        a value of a parameter is not what its declaration asks for
    ├── ConfigError           penstock.toml, a profile or an option is wrong
    ├── MissingExtra          a package that something needs is not installed
    ├── DataError             data, a schema or an artifact on disk is not what it should be
    │   └── RowError          a row of data is not what it should be
    ├── UserCodeError         a module file is missing, does not import, or does not do its work
    ├── StorageError          a disk is full, read-only or not permitted
    ├── StoreError            the ML Metadata store cannot be used
    ├── ImageError            a container image cannot be built or pushed
    ├── RegistryError         a registered model or version is not there, or may not be served
    │   └── AliasMovedError   somebody else has moved the alias
    ├── RunError              a run failed, was canceled or is unknown
    │   └── RunLookupError    a run, or what it is to lend to another one, is not there
    ├── ServiceError          a Kubeflow Pipelines server is not reached, or refuses a request
    │   ├── UnansweredError   nobody can say whether a request has taken effect
    │   └── BusyError         a run cannot begin before others have ended
    └── LineageError          an artifact or a folder is none that the store knows

Every error is one paragraph: what was expected and what came, where, and what to do next.
"""

from __future__ import annotations

import difflib
import traceback
from collections.abc import Iterable


class PenstockError(Exception):
    """An error with a hint at the next step, for the person who reads it.

    `message` says what was expected and what came; `hint`, where there is one, what to do.
    """

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        self.message = message
        self.hint = hint
        super().__init__(message)

    def where(self) -> str | None:
        """Return the place to look at, for errors that know one."""
        return None

    def __str__(self) -> str:
        where = self.where()
        text = f"{self.message} ({where})" if where else self.message
        text = text if text.endswith((".", "?", "!", ":", "\n")) else f"{text}."
        return f"{text} {self.hint}" if self.hint else text

    def _render_traceback_(self) -> list[str]:
        """Return what notebooks show in place of a traceback through code that is not theirs."""
        lines = [f"{type(self).__name__}: {self}"]
        for frame in traceback.extract_tb(self.__traceback__):
            if "ipykernel_" in frame.filename or frame.filename.startswith("<ipython-input"):
                lines.append(f"  in this cell, line {frame.lineno}: {frame.line}")
        return lines

    def __reduce__(self) -> tuple[object, ...]:
        # Errors cross process borders; keyword-only arguments need the state, not the call.
        return (_restore, (type(self), self.__dict__))


def _restore(kind: type[PenstockError], state: dict[str, object]) -> PenstockError:
    error = kind.__new__(kind)
    error.__dict__.update(state)
    error.args = (state.get("message"),)
    return error


class ComponentError(PenstockError):
    """A component is declared wrongly."""


class WiringError(ComponentError):
    """A component is called with the wrong inputs or parameters.

    `component` and `argument` name the place; `expected` and `given` what should be there and
    what is.
    """

    def __init__(
        self,
        message: str,
        *,
        component: str,
        argument: str | None = None,
        expected: str | None = None,
        given: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.component = component
        self.argument = argument
        self.expected = expected
        self.given = given


class PipelineError(PenstockError):
    """A pipeline does not hold together."""


class ParameterError(PenstockError):
    """A value of a parameter is not what its declaration asks for."""


class ConfigError(PenstockError):
    """penstock.toml, a profile or an option is wrong; `path` and `key` say where."""

    def __init__(
        self,
        message: str,
        *,
        path: str | None = None,
        key: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.path = path
        self.key = key

    def where(self) -> str | None:
        """Return the file and the key."""
        return ", ".join(part for part in (self.path, self.key) if part) or None


class MissingExtra(PenstockError):
    """A package that something needs is not installed.

    `packages` are named as they are imported, `extras` are Penstock's extras that bring them, and
    `nodes` those that need them; `path` is the code that asked for one.
    """

    def __init__(
        self,
        message: str,
        *,
        packages: tuple[str, ...],
        extras: tuple[str, ...],
        nodes: tuple[str, ...] = (),
        path: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.packages = packages
        self.extras = extras
        self.nodes = nodes
        self.path = path

    def where(self) -> str | None:
        """Return the code that asked for the package."""
        return self.path


class DataError(PenstockError):
    """Data, a schema or an artifact on disk is not what it should be.

    `line` counts from 1; `column` is a column's name or its position.
    """

    def __init__(
        self,
        message: str,
        *,
        path: str | None = None,
        line: int | None = None,
        column: str | int | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.path = path
        self.line = line
        self.column = column

    def where(self) -> str | None:
        """Return file, line and column as far as they are known."""
        location = self.path or ""
        if self.line is not None:
            location = f"{location}:{self.line}" if location else f"line {self.line}"
        if self.column is not None:
            column = str(self.column)
            column = column if column.isprintable() else repr(column)
            location = f"{location}, column {column}" if location else f"column {column}"
        return location or None


class RowError(DataError):
    """A row of data is not what it should be; `reason` says why, and `row` counts from 0."""

    def __init__(
        self,
        reason: str,
        *,
        row: int,
        path: str | None = None,
        line: int | None = None,
        column: str | int | None = None,
        hint: str | None = None,
    ) -> None:
        # A line says more than the number of a row.
        message = f"row {row}: {reason}" if line is None else reason
        super().__init__(message, path=path, line=line, column=column, hint=hint)
        self.reason = reason
        self.row = row

    def within(self, path: str, first: int, line: int | None = None) -> RowError:
        """Return the error for rows of a file, of which `first` came before."""
        row = first + self.row
        return RowError(
            self.reason, row=row, path=path, line=line, column=self.column, hint=self.hint
        )


class UserCodeError(PenstockError):
    """A module file is missing, does not import, or does not do its work; `path` names it."""

    def __init__(self, message: str, *, path: str | None = None, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.path = path

    def where(self) -> str | None:
        """Return the module file."""
        return self.path


class StorageError(PenstockError):
    """A disk is full, read-only or not permitted; `path` is the folder to look at."""

    def __init__(self, message: str, *, path: str | None = None, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.path = path


class StoreError(PenstockError):
    """The ML Metadata store cannot be used."""


class ImageError(PenstockError):
    """A container image cannot be built or pushed."""


class LineageError(PenstockError):
    """An artifact or a folder is none that the store knows."""


class RegistryError(PenstockError):
    """A registered model, a version or an alias is not there, or may not be used as it is."""


class ServiceError(PenstockError):
    """A Kubeflow Pipelines server is not reached, or refuses a request, which has had no effect.

    `status` is that of its HTTP answer; None if there was none. A `transient` error may be gone
    when the same is asked again.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        transient: bool = False,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.transient = transient


class UnansweredError(ServiceError):
    """Nobody can say whether a request has taken effect: the answer is missing, or a proxy's."""


class BusyError(ServiceError):
    """A run cannot begin before others have ended; whoever asks again later may have more luck."""


class RunError(PenstockError):
    """A run failed, was canceled or is unknown."""


class RunLookupError(RunError, LookupError):
    """A run, or what it is to lend to another one, is not there.

    It is a LookupError too, which TFX's runners raise then.
    """


def nearest(name: str, names: Iterable[str]) -> str | None:
    """Return the name among `names` that `name` was probably meant to be."""
    matches = difflib.get_close_matches(name, list(names), n=1, cutoff=0.5)
    return matches[0] if matches else None


def suggestion(name: str, names: Iterable[str], *, noun: str = "name") -> str:
    """Return a hint that names the nearest alternative, or else all of them."""
    alternatives = sorted(names)
    match = nearest(name, alternatives)
    if match:
        return f"Did you mean {match!r}?"
    if not alternatives:
        return f"There is no {noun} to choose from."
    return f"Choose from: {', '.join(alternatives)}."


class WrittenDownWarning(UserWarning):
    """A secret stands where a reference to it belongs, and is recorded."""
