"""What a folder of tables holds, as a number: the same for the same content, whatever its age."""

from __future__ import annotations

import hashlib
from pathlib import Path

from penstock.data.data_files import is_data
from penstock.data.files import remote
from penstock.errors import DataError

SUFFIXES = (".parquet", ".csv")


def table_files(folder: str) -> list[Path]:
    """Return the Parquet and CSV files below a folder, sorted.

    Raises:
      DataError: there is none.
    """
    files = sorted(
        path
        for path in Path(folder).rglob("*")
        if path.suffix in SUFFIXES
        and is_data(path.relative_to(folder).as_posix())
        and path.is_file()
    )
    if not files:
        raise DataError(
            "expected Parquet or CSV files, found none"
            if Path(folder).is_dir()
            else "expected a folder of Parquet or CSV files, but it does not exist",
            path=folder,
        )
    return files


def fingerprint(folder: str) -> str:
    """Return a hash of the names and the content of a folder's tables, locally or of a URL."""
    if remote.is_remote(folder):
        return _remote_fingerprint(folder)
    content = hashlib.sha256()
    for path in table_files(folder):
        content.update(str(path.relative_to(folder)).encode() + b"\0")
        with path.open("rb") as file:
            content.update(hashlib.file_digest(file, "sha256").digest())
    return content.hexdigest()


def _remote_fingerprint(url: str) -> str:
    files = [
        file
        for file in remote.list_files(url)
        if file.name.endswith(SUFFIXES) and is_data(file.name)
    ]
    if not files:
        raise DataError("expected Parquet or CSV files, found none", path=url)
    content = hashlib.sha256()
    for file in files:
        content.update(f"{len(file.name)}:{file.name}:{remote.content_version(file)}\n".encode())
    return content.hexdigest()
