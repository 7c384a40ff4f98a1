"""Files of a node that stay when it fails or is killed, for the next try that does the same."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from penstock.data.files.appearing import appearing
from penstock.errors import StorageError
from penstock.safety import locks

_LOCK = "lock"
_RECORD = "record.json"


@contextmanager
def keeping(folder: str, record: Mapping[str, Any]) -> Iterator[str | None]:
    """Yield a folder with what an earlier try has left whose record was equal, if there was one.

    At the end of the block it is removed, unless the block fails; what a try with another record
    has left is removed at once. None where another process keeps files in `folder` at this time,
    or its file system has no locks.
    """
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, _LOCK), "ab") as file:
        if not _is_ours(file.fileno()):
            yield None
            return
        try:
            place = _place(folder, json.dumps(record, sort_keys=True, indent=2))
            yield place
            shutil.rmtree(place, ignore_errors=True)  # a worker given up may write in it
        finally:
            locks.unlock(file.fileno())


def _is_ours(descriptor: int) -> bool:
    try:
        return locks.lock(descriptor, wait_seconds=0)
    except StorageError:
        return False


def _place(folder: str, record: str) -> str:
    name = hashlib.sha256(record.encode()).hexdigest()[:32]
    place = os.path.join(folder, name)
    for other in os.listdir(folder):
        if other not in (name, _LOCK):
            shutil.rmtree(os.path.join(folder, other), ignore_errors=True)
    path = os.path.join(place, _RECORD)
    if _read(path) != record:
        shutil.rmtree(place, ignore_errors=True)
        with appearing(path) as aside, open(aside, "w", encoding="utf-8") as file:
            file.write(record)
    return place


def _read(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except (OSError, ValueError):
        return None
