"""Rows of a log to files: each is there as a whole or not at all, and the oldest go first.

    FOLDER/MODEL/day-20421/part-<of whom>-<number>.parquet

A file is written beside its folder under a name that begins with a dot, and renamed into it. So a
reader sees whole files alone, and what a killed process has left is removed by the next one.
"""

from __future__ import annotations

import os
import secrets
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import pyarrow as pa

from penstock.serving.log.columns import TIME
from penstock.serving.log.policy import (
    MEASURES,
    LogPolicy,
    measures_folder,
    span_at,
    span_folder,
)

# What is begun is removed when nobody can be writing it any more.
_FORGOTTEN_SECONDS = 3600.0
_BEGUN = ".begun-"
COMPRESSION = "zstd"
_KEY_FILE = ".key"


@dataclass(frozen=True)
class _Held:
    """Rows that no file has yet, and of how many requests they are."""

    rows: pa.Table
    requests: int


@dataclass
class LogFiles:
    """The files of one process: rows are held until there are `most_rows`, or for as long as the
    policy says.

    What cannot be written is held, and tried again after as long, as long as it has no more
    than `most_held` rows. `lost` counts the requests of each model that had to go, `settled` those
    that are in files or lost.
    """

    policy: LogPolicy
    most_rows: int = 50_000
    most_held: int = 200_000
    lost: Counter[str] = field(default_factory=Counter)
    settled: Counter[str] = field(default_factory=Counter)
    # By the model and the folder below its own.
    _held: dict[tuple[str, str], list[_Held]] = field(default_factory=dict)
    _rows: int = 0
    _due: float = 0.0
    _is_failing: bool = False
    _number: int = 0
    _who: str = field(default_factory=lambda: secrets.token_hex(4))

    def add(self, model: str, at: float, rows: pa.Table, requests: int = 1) -> None:
        """Take rows of requests that were answered at a time, or in the same span."""
        if self._is_failing and self._rows + rows.num_rows > self.most_held:
            self.lose(model, requests)
            return
        folder = span_folder(self.policy.span, span_at(at, self.policy.span))
        self._hold(model, folder, _Held(rows, requests))

    def lose(self, model: str, requests: int) -> None:
        """Count requests of which nothing will be kept."""
        self.lost[model] += requests
        self.settled[model] += requests

    def add_measures(self, model: str, at: float, measures: pa.Table) -> None:
        """Take what was measured in an interval that began at a time: it is due at once."""
        if self._is_failing and self._rows + measures.num_rows > self.most_held:
            return
        folder = measures_folder(self.policy.span, span_at(at, self.policy.span))
        self._hold(model, folder, _Held(measures, 0))
        if not self._is_failing:
            self._due = 0.0

    def _hold(self, model: str, folder: str, held: _Held) -> None:
        if not self._held:
            self._due = time.monotonic() + self.policy.write_seconds
        self._held.setdefault((model, folder), []).append(held)
        self._rows += held.rows.num_rows

    def is_due(self) -> bool:
        """Return whether what is held should be written."""
        if not self._held:
            return False
        is_full = self._rows >= self.most_rows and not self._is_failing
        return is_full or time.monotonic() >= self._due

    def write(self) -> None:
        """Write what is held, and make room for what comes.

        Raises:
          OSError: a file cannot be written; what is left is held still.
        """
        self._due = time.monotonic() + self.policy.write_seconds
        make_room(Path(self.policy.folder), self.policy.most_bytes)
        self._is_failing = True
        for (model, folder), held in list(self._held.items()):
            # Rows of models that were pushed meanwhile may have other features.
            kinds = _alike(held)
            while kinds:
                self._write(model, folder, [one.rows for one in kinds[-1]])
                written = kinds.pop()
                self._rows -= sum(one.rows.num_rows for one in written)
                self.settled[model] += sum(one.requests for one in written)
                self._held[model, folder] = list(chain.from_iterable(kinds))
            del self._held[model, folder]
        self._is_failing = False

    def _write(self, model: str, folder: str, tables: list[pa.Table]) -> None:
        import pyarrow.parquet as pq

        whole = pa.concat_tables(tables)
        if TIME in whole.column_names:
            whole = whole.sort_by(TIME)
        self._number += 1
        name = f"part-{self._who}-{self._number:06d}.parquet"
        with appearing(Path(self.policy.folder, model), folder, name) as begun:
            pq.write_table(whole, begun, compression=COMPRESSION)


@contextmanager
def appearing(of_model: Path, folder: str, name: str) -> Iterator[Path]:
    """Yield where a file of a model is written, which is then in a folder below, or nowhere."""
    (of_model / folder).mkdir(parents=True, exist_ok=True)
    begun = of_model / f"{_BEGUN}{name}"
    try:
        yield begun
        with open(begun, "rb") as file:
            os.fsync(file.fileno())
        os.replace(begun, of_model / folder / name)
    finally:
        # A full disk should not be filled further.
        with suppress(FileNotFoundError):
            begun.unlink()


def _alike(held: list[_Held]) -> list[list[_Held]]:
    """Return what is held by its columns: what one file can have."""
    kinds: dict[str, list[_Held]] = {}
    for one in held:
        kinds.setdefault(str(one.rows.schema), []).append(one)
    return list(kinds.values())


def make_room(folder: Path, most_bytes: int) -> None:
    """Remove the oldest files beyond a size, and what was begun long ago and never ended."""
    found = []
    patterns = ("*/*/part-*.parquet", f"*/{MEASURES}/*/part-*.parquet")
    for path in chain.from_iterable(map(folder.glob, patterns)):
        try:
            seen = path.stat()
        except FileNotFoundError:
            continue
        found.append((seen.st_mtime, seen.st_size, path))
    total = sum(size for _, size, _ in found)
    for _, size, path in sorted(found):
        if total <= most_bytes:
            break
        path.unlink(missing_ok=True)
        total -= size
        with suppress(OSError):  # it has other files
            path.parent.rmdir()
    for path in folder.glob(f"*/{_BEGUN}*"):
        with suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > _FORGOTTEN_SECONDS:
                path.unlink()


def reason_of(error: OSError) -> str:
    """Return why a file cannot be written: Arrow's errors say that at length."""
    return os.strerror(error.errno) if error.errno else str(error)


def key_of(folder: Path) -> bytes:
    """Return the key by which values are hashed, made when it is first asked for.

    Only its owner can read it: who has the key can find out which value was hashed.
    """
    keep_key(folder, secrets.token_bytes(32))
    return bytes.fromhex((folder / _KEY_FILE).read_text())


def keep_key(folder: Path, key: bytes) -> None:
    """Have a key in a folder, unless one is there: what is hashed by it should stay comparable."""
    path = folder / _KEY_FILE
    if path.exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    begun = folder / f"{_KEY_FILE}-{secrets.token_hex(4)}"
    try:
        with open(os.open(begun, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(key.hex())
        with suppress(FileExistsError):  # somebody else's was there sooner
            os.link(begun, path)
    finally:
        begun.unlink(missing_ok=True)
