"""What people have as data, made the one CSV file that a new project begins with."""

from __future__ import annotations

import csv
import gzip
import re
import shutil
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from penstock.errors import DataError, suggestion
from penstock.safety import bounded
from penstock.surfaces.cli.columns import read_rows, written_as

_ADDRESS = re.compile(r"([a-z][a-z0-9+.-]+):/", re.IGNORECASE)
_COPY_COMMANDS = {
    "http": "curl -O {}",
    "https": "curl -O {}",
    "s3": "aws s3 cp {} .",
    "gs": "gcloud storage cp {} .",
}
_TEXT_SUFFIXES = (".csv", ".tsv", ".txt", ".data")
_JSON_SUFFIXES = (".json", ".jsonl", ".ndjson")
_DATA_SUFFIXES = (*_TEXT_SUFFIXES, *_JSON_SUFFIXES, ".parquet", ".gz", ".zip")
# By their first bytes: what is no table that can be read here, and what makes one of it.
_OTHERS = {
    b"BZh": ("compressed by bzip2", "Unpack it: bunzip2 {}"),
    b"\xfd7zXZ": ("compressed by xz", "Unpack it: unxz {}"),
    b"\x28\xb5\x2f\xfd": ("compressed by zstd", "Unpack it: unzstd {}"),
    b"\xd0\xcf\x11\xe0": ("an Excel workbook", "Save its sheet as CSV, in UTF-8."),
    b"SQLite format 3": ("a SQLite database", "Export the table as CSV."),
    b"\x89HDF": ("an HDF5 file", "Write the table as CSV or Parquet."),
    b"ARROW1": ("an Arrow file", "Write the table as CSV or Parquet."),
}
_SHOWN_NAMES = 5


@dataclass(frozen=True)
class Source:
    """A CSV file to read: `shown` is what people call it, `name` what the project's copy is called.

    `remarks` say what was done to have it.
    """

    path: Path
    shown: Path
    name: str
    remarks: tuple[str, ...] = ()


def as_csv(data: str | Path, folder: Path) -> Source:
    """Return data as a CSV file: the file itself, or one that is written into `folder`.

    CSV may be compressed by gzip or zip; Parquet and JSON (objects, a line each or in a list) are
    written as CSV, and the files of a folder joined.

    Raises:
      DataError: it is missing, elsewhere than on this machine, or nothing that can be read.
    """
    address = _ADDRESS.match(str(data))
    if address and not Path(data).exists():
        # A path has lost one of the slashes.
        text = re.sub(r":/+", "://", str(data), count=1)
        command = _COPY_COMMANDS.get(address[1].lower(), "").format(text)
        raise DataError(
            f"penstock init reads files of this machine, and {text} is an address",
            hint=f"Copy it first{': ' + command if command else ''}.",
        )
    path = Path(data)
    if path.is_dir():
        return _joined(path, folder)
    return _file(path, path, folder)


def _file(path: Path, shown: Path, folder: Path) -> Source:
    if path.exists() and not path.is_file():
        # It is read more than once.
        raise DataError("expected a file, got a pipe or a device", path=str(shown))
    try:
        with path.open("rb") as file:
            start = file.read(64)
    except FileNotFoundError as error:
        beside = [p.name for p in _data_files(path.parent)] if path.parent.is_dir() else []
        raise DataError(
            f"there is no file {shown}",
            hint=suggestion(path.name, beside, noun="data file in its folder"),
        ) from error
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", path=str(shown)) from error
    if start.startswith(b"\x1f\x8b"):
        return _unpacked(path, shown, folder)
    if start.startswith(b"PK\x03\x04"):
        return _out_of_archive(path, shown, folder)
    if start.startswith(b"PAR1"):
        return _written(_parquet_rows(path, shown), path, shown, folder, "Parquet")
    for magic, (what, hint) in _OTHERS.items():
        if start.startswith(magic):
            raise DataError(
                f"expected CSV, JSON or Parquet, and this is {what}",
                path=str(shown),
                hint=hint.format(shown.name),
            )
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    if path.suffix.lower() in _JSON_SUFFIXES or text.startswith((b"{", b"[{", b"[\n")):
        return _written(_json_rows(path, shown), path, shown, folder, "JSON")
    name = path.name if path.suffix.lower() == ".csv" else f"{path.stem}.csv"
    return Source(path, shown, name)


def _unpacked(path: Path, shown: Path, folder: Path) -> Source:
    name = path.stem if path.suffix.lower() in (".gz", ".gzip") else path.name
    target = _new(folder, name)
    try:
        with gzip.open(path) as packed, target.open("wb") as file:
            shutil.copyfileobj(packed, file)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"the gzip file is broken: {error}", path=str(shown)) from error
    inner = _file(target, shown, folder)
    return replace(inner, remarks=("unpacked: the copy in data/ is not compressed", *inner.remarks))


def _out_of_archive(path: Path, shown: Path, folder: Path) -> Source:
    try:
        with zipfile.ZipFile(path) as archive:
            names = [i.filename for i in archive.infolist() if not i.is_dir()]
            if "[Content_Types].xml" in names:
                raise DataError(
                    "expected CSV, JSON or Parquet, and this is an Excel workbook",
                    path=str(shown),
                    hint="Save its sheet as CSV, in UTF-8.",
                )
            names = [name for name in names if not name.startswith("__MACOSX/")]
            if len(names) != 1:
                raise DataError(
                    f"expected an archive of one file, and it has {len(names)}: {_few(names)}",
                    path=str(shown),
                    hint="Unpack it, and name the file, or the folder of files alike.",
                )
            # Only the last part of a member's name is used: it leads nowhere else.
            target = _new(folder, Path(names[0]).name or "data.csv")
            with archive.open(names[0]) as packed, target.open("wb") as file:
                shutil.copyfileobj(packed, file)
    except (OSError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"the zip archive cannot be unpacked: {error}", path=str(shown)) from error
    inner = _file(target, shown, folder)
    return replace(inner, remarks=(f"unpacked: {names[0]}", *inner.remarks))


def _joined(path: Path, folder: Path) -> Source:
    """Return the files of a folder, which have the same columns, as one."""
    files = _data_files(path)
    if not files:
        inside = sorted(p.name for p in path.iterdir() if not p.name.startswith("."))
        raise DataError(
            "expected files of CSV, JSON or Parquet in this folder, and there "
            + (f"is {_few(inside)}" if inside else "is nothing"),
            path=str(path),
        )
    if len(files) == 1:
        return _file(files[0], files[0], folder)
    sources = [_file(file, file, _new(folder, f"part-{n}")) for n, file in enumerate(files)]
    target = _new(folder, f"{path.resolve().name}.csv")
    first: list[str] = []
    with target.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out, lineterminator="\n")
        for source in sources:
            delimiter, encoding = written_as(source.path, source.shown)
            rows = read_rows(source.path, delimiter, encoding, shown=source.shown)
            header = next(rows)[1]
            if not first:
                first = header
                writer.writerow(header)
            if sorted(header) != sorted(first):
                missing = [name for name in first if name not in header]
                extra = [name for name in header if name not in first]
                what = [f"without {_few(missing)}"] * bool(missing)
                what += [f"with {_few(extra)}"] * bool(extra)
                raise DataError(
                    f"the files of a folder need the same columns, and this one is "
                    f"{' and '.join(what) or 'with other columns'}, compared with "
                    f"{sources[0].shown.name}",
                    path=str(source.shown),
                    line=1,
                )
            order = [header.index(name) for name in first]
            writer.writerows([row[at] for at in order] for _, row in rows)
    remark = f"joined: {len(files)} files of {path} are data/{target.name}"
    told = dict.fromkeys(remark for source in sources for remark in source.remarks)
    return Source(target, path, target.name, (remark, *told))


def _data_files(folder: Path) -> list[Path]:
    """Return the files of a folder with data: not those that Spark, Hive and editors hide."""
    return sorted(
        path
        for path in folder.iterdir()
        if path.is_file()
        and path.suffix.lower() in _DATA_SUFFIXES
        and not path.name.startswith((".", "_"))
    )


def _few(names: Sequence[str]) -> str:
    shown = ", ".join(map(repr, names[:_SHOWN_NAMES]))
    return shown + (f" and {len(names) - _SHOWN_NAMES} more" if len(names) > _SHOWN_NAMES else "")


def _new(folder: Path, name: str) -> Path:
    """Return a path in a folder of its own, which is there."""
    number = sum(1 for _ in folder.iterdir()) if folder.is_dir() else 0
    inside = folder / str(number)
    inside.mkdir(parents=True)
    return inside / name


def _written(
    table: tuple[Sequence[str], Iterable[Mapping[str, Any]]],
    path: Path,
    shown: Path,
    folder: Path,
    what: str,
) -> Source:
    """Write rows as CSV, without the columns of lists and structures, which are told."""
    names, rows = table
    rows = list(rows)
    nested = [n for n in names if any(isinstance(row.get(n), dict | list) for row in rows)]
    kept = [name for name in names if name not in nested]
    stem = path.stem
    target = _new(folder, f"{stem}.csv")
    with target.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(kept)
        writer.writerows([_cell(row.get(name)) for name in kept] for row in rows)
    remarks = [f"written as CSV: it was {what}, and further files in data/ have to be CSV too"]
    remarks += [f"left out: {name!r}, lists or structures" for name in nested]
    return Source(target, shown, target.name, tuple(remarks))


def _cell(value: Any) -> str:
    if value is None or value != value:  # a missing number is NaN
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return str(value)


def _parquet_rows(path: Path, shown: Path) -> tuple[list[str], Iterator[dict[str, Any]]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"the Parquet file cannot be read: {error}", path=str(shown)) from error
    columns = []
    for field, column in zip(table.schema, table.columns, strict=True):
        # Python's times have microseconds.
        is_time = pa.types.is_timestamp(field.type)
        columns.append(column.cast(pa.timestamp("us"), safe=False) if is_time else column)
    plain = pa.table(dict(zip(table.schema.names, columns, strict=True)))
    rows = (row for batch in plain.to_batches() for row in batch.to_pylist())
    return list(table.schema.names), rows


def _json_rows(path: Path, shown: Path) -> tuple[list[str], list[dict[str, Any]]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"this is not JSON: {error}", path=str(shown)) from error
    expected = "expected JSON objects, one a line or in a list"
    rows: list[Any] = []
    if text.lstrip().startswith("["):
        try:
            rows = bounded.parse_json(text)
        except ValueError as error:
            raise DataError(f"{expected}: {error}", path=str(shown)) from error
    else:
        for line, content in enumerate(text.splitlines(), 1):
            if not content.strip():
                continue
            try:
                rows.append(bounded.parse_json(content))
            except ValueError as error:
                raise DataError(f"{expected}: {error}", path=str(shown), line=line) from error
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            raise DataError(f"{expected}, and number {number} is {row!r:.40}", path=str(shown))
    names = list(dict.fromkeys(name for row in rows for name in row))
    if not names:
        raise DataError("there are no rows in it", path=str(shown))
    return names, rows
