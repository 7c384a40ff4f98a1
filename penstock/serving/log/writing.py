"""Rows of a log to files: each is there as a whole or not at all, and the oldest go first.

    FOLDER/MODEL/day-20421/part-<of whom>-<number>.parquet

A file is written beside its folder under a name that begins with a dot, and renamed into it. So a
reader sees whole files alone, and what a killed process has left is removed by the next one.
"""

from __future__ import annotations

import os
import secrets
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from penstock.serving.log.policy import LogPolicy, span_at, span_folder
from penstock.serving.log.rows import TIME

# What is begun is removed when nobody can be writing it any more.
_FORGOTTEN_SECONDS = 3600.0
_BEGUN = ".begun-"
_KEY_FILE = ".key"


@dataclass
class LogFiles:
    """The files of one process: rows are held until there are `most_rows`, or for `seconds`."""

    policy: LogPolicy
    most_rows: int = 50_000
    seconds: float = 60.0
    _held: dict[tuple[str, int], list[pa.Table]] = field(default_factory=dict)
    _since: float = 0.0
    _number: int = 0
    _who: str = field(default_factory=lambda: secrets.token_hex(4))

    def add(self, model: str, at: float, rows: pa.Table) -> None:
        """Take rows of a request that was answered at a time."""
        if not self._held:
            self._since = time.monotonic()
        key = (model, span_at(at, self.policy.span))
        self._held.setdefault(key, []).append(rows)

    def is_due(self) -> bool:
        """Return whether what is held should be written."""
        rows = sum(table.num_rows for held in self._held.values() for table in held)
        late = bool(self._held) and time.monotonic() - self._since >= self.seconds
        return late or rows >= self.most_rows

    def write(self) -> None:
        """Write what is held, and make room for what comes."""
        held, self._held = self._held, {}
        for (model, span), tables in held.items():
            # Rows of models that were pushed meanwhile may have other features.
            for table in _alike(tables):
                self._write(model, span, table)
        make_room(Path(self.policy.folder), self.policy.most_bytes)

    def _write(self, model: str, span: int, table: pa.Table) -> None:
        folder = Path(self.policy.folder, model, span_folder(self.policy.span, span))
        folder.mkdir(parents=True, exist_ok=True)
        self._number += 1
        name = f"part-{self._who}-{self._number:06d}.parquet"
        begun = folder.parent / f"{_BEGUN}{name}"
        pq.write_table(table.sort_by(TIME), begun, compression="zstd")
        with open(begun, "rb") as file:
            os.fsync(file.fileno())
        os.replace(begun, folder / name)


def _alike(tables: list[pa.Table]) -> list[pa.Table]:
    """Return tables with the same columns as one, each kind for itself."""
    kinds: dict[Any, list[pa.Table]] = {}
    for table in tables:
        kinds.setdefault(str(table.schema), []).append(table)
    return [pa.concat_tables(of_a_kind) for of_a_kind in kinds.values()]


def make_room(folder: Path, most_bytes: int) -> None:
    """Remove the oldest files beyond a size, and what was begun long ago and never ended."""
    found = []
    for path in folder.glob("*/*/part-*.parquet"):
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
        if not any(path.parent.iterdir()):
            path.parent.rmdir()
    for path in folder.glob(f"*/{_BEGUN}*"):
        if time.time() - path.stat().st_mtime > _FORGOTTEN_SECONDS:
            path.unlink(missing_ok=True)


def key_of(folder: Path) -> bytes:
    """Return the key by which values are hashed, made when it is first asked for.

    Only its owner can read it: who has the key can find out which value was hashed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / _KEY_FILE
    if not path.exists():
        begun = folder / f"{_KEY_FILE}-{secrets.token_hex(4)}"
        with open(os.open(begun, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_hex(32))
        with suppress(FileExistsError):  # somebody else's was there sooner
            os.link(begun, path)
        begun.unlink()
    return bytes.fromhex(path.read_text())
