"""The penguins of the package palmerpenguins as CSV; the package itself is not imported."""

from __future__ import annotations

import csv
import hashlib
import importlib.util
import shutil
from pathlib import Path

from penstock.errors import DataError
from penstock.project.extras import install_hint

CSV_FILE = "penguins.csv"


def package_file() -> Path:
    """Return the CSV file of the installed package.

    Raises:
      DataError: the package is missing.
    """
    spec = importlib.util.find_spec("palmerpenguins")
    for folder in (spec.submodule_search_locations if spec else None) or []:
        path = Path(folder, "data", CSV_FILE)
        if path.is_file():
            return path
    raise DataError(
        "expected the data of the package palmerpenguins",
        hint=install_hint("examples"),
    )


def write_data(directory: str) -> int:
    """Write the package's rows as `penguins.csv`, missing values empty, and return their number."""
    Path(directory).mkdir(parents=True, exist_ok=True)
    with package_file().open(newline="", encoding="utf-8") as source:
        header, *rows = csv.reader(source)
    with Path(directory, CSV_FILE).open("w", newline="", encoding="utf-8") as target:
        writer = csv.writer(target, lineterminator="\n")
        writer.writerow(header)
        writer.writerows([["" if value == "NA" else value for value in row] for row in rows])
    return len(rows)


def csv_files(data_root: str) -> list[Path]:
    """Return the CSV files of a folder.

    Raises:
      DataError: there is none.
    """
    files = sorted(path for path in Path(data_root).glob("*.csv") if path.is_file())
    if not files:
        raise DataError("expected a folder with CSV files of penguins", path=data_root)
    return files


def copy_files(data_root: str, directory: str) -> None:
    """Copy the CSV files of a folder."""
    for path in csv_files(data_root):
        shutil.copyfile(path, Path(directory, path.name))


def fingerprint(data_root: str) -> str:
    """Return a hash of the CSV files of a folder, or of the package where none is named."""
    content = hashlib.sha256()
    for path in csv_files(data_root) if data_root else [package_file()]:
        content.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return content.hexdigest()
