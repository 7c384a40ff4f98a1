"""A few rows of the data that an ExampleGen reads: chosen once, by their places alone, and kept.

The sample has the folders and the names of the files that it is of, so that patterns, spans and
versions mean in it what they mean in the data.
"""

from __future__ import annotations

import hashlib
import heapq
import io
import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from penstock.authoring import values
from penstock.data import ingestion, spans
from penstock.data.csv_options import CsvOptions
from penstock.data.records import TFRecordWriter, read_serialized
from penstock.data.spans import RangeConfig
from penstock.data.splits import InputConfig
from penstock.errors import DataError
from penstock.project.tables import read_table
from penstock.safety import containment

# Of a file no more rows are looked at, since others wait for the check.
_MOST_ROWS = 200_000
_MANIFEST = "sample.json"
_PARQUET_MAGIC = b"PAR1"

READERS: Mapping[str, str] = {
    "CsvExampleGen": "csv",
    "ParquetExampleGen": "parquet",
    "AvroExampleGen": "avro",
    "ImportExampleGen": "records",
}


@dataclass(frozen=True)
class Source:
    """What an ExampleGen reads: where, by which patterns, and how the files are written.

    `name` stands for the folder in what is kept: the folder itself may lie elsewhere tomorrow.
    """

    input_base: str
    name: str
    form: str
    input_config: InputConfig
    range_config: RangeConfig | None
    csv: CsvOptions


@dataclass(frozen=True)
class Sample:
    """Rows of a source in `folder`; `is_everything` says that there are no others."""

    folder: str
    rows: int
    is_everything: bool
    is_kept: bool = False


def source_of(kind: str, parameters: Mapping[str, Any], name: str) -> Source | None:
    """Return what a node reads by its type and its parameters, None if it is no known ExampleGen.

    Raises:
      ConfigError: a configuration has a field that is not known.
      ParameterError: so have the options of CSV.
    """
    form = READERS.get(kind.rpartition(".")[2])
    base = parameters.get("input_base")
    if form is None or not isinstance(base, str) or not base:
        return None
    tables = {key: json.loads(parameters.get(key) or "null") for key in _TABLES}
    return Source(
        base,
        name,
        form,
        read_table(InputConfig, tables["input_config"] or {}),
        read_table(RangeConfig, tables["range_config"]) if tables["range_config"] else None,
        values.convert(tables["csv"] or {}, CsvOptions, f"{name}.csv"),
    )


_TABLES = ("input_config", "range_config", "csv")


def take_sample(source: Source, folder: Path, rows: int, *, anew: bool = False) -> Sample:
    """Return a sample of about `rows` rows, which is kept in a folder; one that is there is it.

    With `anew` it is chosen again, as it is where the source or the number is another.

    Raises:
      DataError: there are no files, or they are not what the source says.
    """
    manifest = folder / _MANIFEST
    wanted = {
        "source": source.name,
        "input_config": asdict(source.input_config),
        "range_config": asdict(source.range_config) if source.range_config else None,
        "rows": rows,
    }
    kept = _kept(manifest) if not anew else None
    if kept is not None and {name: kept.get(name) for name in wanted} == _as_read(wanted):
        return Sample(str(folder / "data"), kept["taken"], kept["is_everything"], is_kept=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".sample-") as scratch:
        data = Path(scratch, "data")
        taken, is_everything = _write(source, data, rows)
        if not taken:
            raise DataError("expected rows to take a sample of, found none", path=source.input_base)
        content = {**wanted, "taken": taken, "is_everything": is_everything}
        Path(scratch, _MANIFEST).write_text(json.dumps(content, indent=2))
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        os.replace(data, folder / "data")
        os.replace(Path(scratch, _MANIFEST), manifest)
    return Sample(str(folder / "data"), taken, is_everything)


def _kept(manifest: Path) -> dict[str, Any] | None:
    try:
        content: dict[str, Any] = json.loads(manifest.read_text())
    except (OSError, ValueError):
        return None
    complete = {"taken", "is_everything"} <= content.keys() and (manifest.parent / "data").is_dir()
    return content if complete else None


def _as_read(wanted: Mapping[str, Any]) -> Any:
    return json.loads(json.dumps(wanted))


def _write(source: Source, folder: Path, rows: int) -> tuple[int, bool]:
    """Write a sample, and return how many rows it has, and whether there are no others."""
    with tempfile.TemporaryDirectory(prefix="penstock-fetched-") as scratch:
        found = spans.resolve_input(source.input_base, source.input_config, source.range_config)
        resolved = ingestion.input_of(
            source.input_base,
            source.input_config,
            source.range_config,
            found.span,
            found.version,
            scratch,
        )
        originals = dict(zip(resolved.files, found.files, strict=True))
        quota = max(1, -(-rows // max(1, len(originals))))
        taken, is_everything = 0, True
        for path, original in originals.items():
            name = os.path.relpath(original, source.input_base)
            if "://" in original:
                name = original.removeprefix(source.input_base).lstrip("/")
            target = Path(containment.inside(str(folder), str(folder / name)))
            target.parent.mkdir(parents=True, exist_ok=True)
            count, whole = _copy(path, target, quota, source, name)
            taken, is_everything = taken + count, is_everything and whole
    return taken, is_everything


def _copy(path: str, target: Path, quota: int, source: Source, name: str) -> tuple[int, bool]:
    form = source.form
    if form == "records":
        with open(path, "rb") as file:
            form = "parquet" if file.read(4) == _PARQUET_MAGIC else form
    if form == "parquet":
        return _copy_parquet(path, target, quota, name)
    if form == "avro":
        return _copy_avro(path, target, quota, name)
    if form == "csv":
        return _copy_csv(path, target, quota, name, source.csv)
    chosen, whole = _chosen(read_serialized(path), quota, name)
    with TFRecordWriter(target) as writer:
        for record in chosen:
            writer.write(record)
    return len(chosen), whole


def _chosen(rows: Iterable[Any], quota: int, name: str) -> tuple[list[Any], bool]:
    """Return the rows whose places have the least digests, in their order, and if that is all."""
    numbered = enumerate(rows)
    head = [next_row for _, next_row in zip(range(_MOST_ROWS), numbered, strict=False)]
    whole = len(head) <= quota and next(numbered, None) is None
    least = heapq.nsmallest(quota, head, key=lambda row: _draw(name, row[0]))
    return [row for _, row in sorted(least, key=lambda row: row[0])], whole


def _draw(name: str, place: int) -> bytes:
    return hashlib.sha256(f"{name}\0{place}".encode("utf-8", "surrogateescape")).digest()


def _copy_parquet(path: str, target: Path, quota: int, name: str) -> tuple[int, bool]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        groups, count = [], 0
        for group in range(file.num_row_groups):
            if count >= _MOST_ROWS:
                break
            groups.append(group)
            count += file.metadata.row_group(group).num_rows
        table = file.read_row_groups(groups) if groups else file.schema_arrow.empty_table()
        places, _ = _chosen(range(table.num_rows), quota, name)
        pq.write_table(table.take(pa.array(places, pa.int64())), target)
        return len(places), len(places) == file.metadata.num_rows


def _copy_avro(path: str, target: Path, quota: int, name: str) -> tuple[int, bool]:
    import fastavro

    with open(path, "rb") as file:
        rows = fastavro.reader(file)
        chosen, whole = _chosen(rows, quota, name)
        schema, codec = rows.writer_schema, rows.codec
    with open(target, "wb") as file:
        fastavro.writer(file, schema, chosen, codec)
    return len(chosen), whole


def _copy_csv(
    path: str, target: Path, quota: int, name: str, options: CsvOptions
) -> tuple[int, bool]:
    if path.endswith(".zip"):
        taken, is_everything = 0, True
        with zipfile.ZipFile(path) as archive, zipfile.ZipFile(target, "w") as copy:
            for member in archive.namelist():
                if member.endswith("/"):
                    continue
                with archive.open(member) as file:
                    text, count, whole = _csv_sample(file, quota, f"{name}!{member}", options)
                copy.writestr(zipfile.ZipInfo(member), text)
                taken, is_everything = taken + count, is_everything and whole
        return taken, is_everything
    opened = _opener(path)
    with opened(path, "rb") as file:
        text, count, whole = _csv_sample(file, quota, name, options)
    with opened(target, "wb") as file:
        file.write(text)
    return count, whole


def _opener(path: str) -> Callable[..., Any]:
    import gzip

    return gzip.open if path.endswith(".gz") else open


def _csv_sample(file: Any, quota: int, name: str, options: CsvOptions) -> tuple[bytes, int, bool]:
    text = io.TextIOWrapper(file, options.encoding, errors="surrogateescape", newline="")
    records = _csv_records(text, options.quote_char)
    header = next(records, "")
    chosen, whole = _chosen(records, quota, name)
    ending = "" if not chosen or header.endswith("\n") else "\n"
    lines = [line if line.endswith(("\n", "\r")) else f"{line}\n" for line in chosen]
    joined = "".join([header, ending, *lines])
    text.detach()
    return joined.encode(options.encoding, "surrogateescape"), len(chosen), whole


def _csv_records(lines: Iterable[str], quote: str) -> Iterator[str]:
    """Yield records as they are written: lines, joined where a quoted cell goes on."""
    waiting: list[str] = []
    quotes = 0
    for line in lines:
        waiting.append(line)
        quotes += line.count(quote)
        if quotes % 2 == 0:
            record = "".join(waiting)
            waiting, quotes = [], 0
            if record.strip():
                yield record
    if waiting:
        yield "".join(waiting)
