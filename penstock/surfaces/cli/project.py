"""The files of a new project, made from the templates beside this module."""

from __future__ import annotations

import csv
import io
import json
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penstock import __version__
from penstock.errors import DataError, ParameterError
from penstock.report.wording import counted, quantity
from penstock.surfaces.cli.columns import (
    Column,
    Kind,
    Table,
    Task,
    find_task,
    read_rows,
)
from penstock.surfaces.cli.frameworks import Framework
from penstock.surfaces.cli.sources import as_csv
from penstock.surfaces.cli.tidying import tidy_table

_TEMPLATES = Path(__file__).parent / "templates"
SAMPLE = _TEMPLATES / "tabular" / "data" / "customers.csv"
SAMPLE_LABEL = "Left"

# In a path of a template it stands for the name of the project's package.
_PACKAGE = "CODE"
# A folder that has these may still become a project.
_KEPT = (".gitignore", "README.md")
# Larger domains say less about data than about the rows that were seen.
_LARGEST_DOMAIN = 100
_MOST_SLICES = 5
_LARGEST_SLICED = 10
# A class of fewer rows than this share is rare: accuracy says little of it.
_RARE = 0.1
_SHOWN_CLASSES = 10
_POSITIVES = ("1", "1.0", "true", "yes", "y", "t", "positive")


@dataclass(frozen=True)
class Description:
    """What a CSV file asks of a project: the templates' variables, the data, and remarks."""

    variables: Mapping[str, Any]
    file_name: str
    data: bytes
    remarks: list[str]


def render(templates: Sequence[str], name: str, variables: Mapping[str, Any]) -> dict[Path, bytes]:
    """Return the files of some templates together, by their paths in the project."""
    import jinja2

    environment = jinja2.Environment(
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["quoted"] = _quoted
    files: dict[Path, bytes] = {}
    for root in (_TEMPLATES / template for template in templates):
        for path in sorted(root.rglob("*")):
            if not path.is_file():
                continue
            target = Path(*[name if p == _PACKAGE else p for p in path.relative_to(root).parts])
            if path.suffix == ".jinja":
                text = environment.from_string(path.read_text(encoding="utf-8")).render(
                    name=name, version=__version__, **variables
                )
                files[target.with_suffix("")] = text.encode()
            elif path != SAMPLE:
                files[target] = path.read_bytes()
    return files


def write(files: Mapping[Path, bytes], folder: Path) -> list[Path]:
    """Write a project's files and return them; what a repository begins with is left as it is.

    Raises:
      ParameterError: another of them is there already; none is written.
    """
    files = {p: c for p, c in files.items() if p.name not in _KEPT or not (folder / p).exists()}
    there = [str(path) for path in files if (folder / path).exists()]
    if there:
        raise ParameterError(
            f"{folder} has {', '.join(there[:3])}{' and more' if len(there) > 3 else ''} already, "
            "and nothing was written",
            hint="Name a new folder: penstock init FOLDER.",
        )
    written = []
    for path, content in sorted(files.items()):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        # "x": also what came in the meantime is left alone.
        with (folder / path).open("xb") as file:
            file.write(content)
        written.append(folder / path)
    return written


def ask_for_label(data: str) -> ParameterError:
    """Return the error for data without a label; it names the columns to choose from."""
    with tempfile.TemporaryDirectory() as folder:
        table, _ = tidy_table(as_csv(data, Path(folder)), None, Path(folder))
    names = ", ".join(repr(column.name) for column in table.columns)
    return ParameterError(
        "which column is to be predicted?", hint=f"Name it: --label COLUMN, one of {names}."
    )


def describe(data: str | Path, label_name: str, task_choice: str | None) -> Description:
    """Return what data ask of a project: CSV, or what `as_csv` makes CSV of.

    Raises:
      DataError: they cannot be read, or have nothing that can be learned.
      ParameterError: they have no such label.
    """
    with tempfile.TemporaryDirectory() as folder:
        source = as_csv(data, Path(folder))
        table, changes = tidy_table(source, label_name, Path(folder))
        return _described(table, source.name, label_name, task_choice, (*source.remarks, *changes))


def _described(
    table: Table,
    file_name: str,
    label_name: str,
    task_choice: str | None,
    changes: Sequence[str],
) -> Description:
    label = table.column(label_name)
    task = find_task(label, task_choice)
    numbers, categories, left_out = _sorted_columns(table, label)
    if not (numbers or categories):
        reasons = "; ".join(f"{name}: {reason}" for name, reason in left_out)
        raise DataError(
            f"no column is left to learn {label_name!r} from", path=str(table.shown), hint=reasons
        )
    names = _feature_names([label_name, *numbers, *categories])
    dropped = table.rows - label.present
    variables = {
        "task": task.value,
        "label": label_name,
        "label_shown": label_name.replace("\\", "\\\\").replace('"', "'").replace("`", "'"),
        "label_xf": names[label_name],
        "label_is_text": label.kind is Kind.BYTES,
        "numbers": [(column, names[column]) for column in numbers],
        "categories": [(column, names[column]) for column in categories],
        "left_out": left_out,
        "slices": _slices(table, numbers, categories),
        "rows": table.rows - dropped,
        "dropped_rows": dropped,
        "csv_name": file_name,
        "csv_options": _csv_options(table),
        "schema": _schema(table, label, task, categories),
        "label_told": _label_told(label, task),
        **_of_label(label, task),
    }
    remarks = [
        *changes,
        f"{table.rows} rows; to predict {label_name!r} as {_TASKS[task]} from "
        f"{counted(len(numbers), 'number')} and {counted(len(categories), 'text')}",
        f"{label_name!r}: {variables['label_told']}",
    ]
    remarks += _baseline_remarks(label, task)
    remarks += [f"left out: {name!r}, {reason}" for name, reason in left_out]
    if dropped:
        remarks.append(
            f"left out: {counted(dropped, 'row')} without a label; {table.shown} itself is "
            "unchanged"
        )
    return Description(variables, file_name, _content(table, label_name, bool(dropped)), remarks)


def _label_told(label: Column, task: Task) -> str:
    """Return how many rows each class has, or where the numbers are."""
    if task is Task.REGRESSION:
        return (
            f"from {quantity(label.least)} to {quantity(label.greatest)}, mean "
            f"{quantity(label.mean)}, standard deviation {quantity(label.spread)}"
        )
    counts = [
        f"{value!r} {count} ({100 * count / label.present:.1f} %)"
        for value, count in label.values[:_SHOWN_CLASSES]
    ]
    more = len(label.values) - len(counts)
    return ", ".join(counts) + (f" and {counted(more, 'class')} more" if more > 0 else "")


def _baseline_remarks(label: Column, task: Task) -> list[str]:
    """Say what a model has that has learned nothing, where a class is rare."""
    rare = [value for value, count in label.values if count < _RARE * label.present]
    if task is Task.REGRESSION or not rare:
        return []
    commonest, count = label.values[0]
    shown = ", ".join(map(repr, rare[:3])) + (" and others" if len(rare) > 3 else "")
    return [
        f"rare: {shown}; to say {commonest!r} always is right for "
        f"{100 * count / label.present:.1f} % of the rows, so look at recall and precision"
    ]


def describe_framework(framework: Framework, task: Any) -> dict[str, str]:
    """Return the variables that the templates of models need."""
    return {
        "framework": framework.name,
        "framework_shown": framework.shown,
        "extra": framework.extra,
        "estimator": "Regressor" if task == Task.REGRESSION.value else "Classifier",
        "rounds_are": framework.rounds,
    }


_TASKS = {
    Task.BINARY: "one of two classes",
    Task.CLASSES: "one of several classes",
    Task.REGRESSION: "a number",
}


def _sorted_columns(
    table: Table, label: Column
) -> tuple[list[str], list[str], list[tuple[str, str]]]:
    numbers: list[str] = []
    categories: list[str] = []
    left_out: list[tuple[str, str]] = []
    for column in table.columns:
        if column is label:
            continue
        reason = column.reason_to_leave_out()
        if reason:
            left_out.append((column.name, reason))
        else:
            (categories if column.kind is Kind.BYTES else numbers).append(column.name)
    return numbers, categories, left_out


def _feature_names(columns: list[str]) -> dict[str, str]:
    """Return names that files, Keras and TensorFlow all accept, each its own."""
    names: dict[str, str] = {}
    for position, column in enumerate(columns, 1):
        plain = re.sub(r"[^a-z0-9]+", "_", column.lower()).strip("_")
        plain = plain if re.match(r"[a-z]", plain) else f"column_{plain or position}"
        taken = set(names.values())
        name, number = f"{plain}_xf", 2
        while name in taken:
            name, number = f"{plain}_{number}_xf", number + 1
        names[column] = name
    return names


def _slices(table: Table, numbers: list[str], categories: list[str]) -> list[str]:
    """Return columns with few values: texts before integers, and those with fewer values first."""

    def small(names: list[str]) -> list[str]:
        columns = [table.column(name) for name in names]
        few = [c for c in columns if not c.many_values and len(c.values) <= _LARGEST_SLICED]
        return [c.name for c in sorted(few, key=lambda c: len(c.values))]

    integers = [name for name in numbers if table.column(name).kind is Kind.INT]
    return [*small(categories), *small(integers)][:_MOST_SLICES]


def _of_label(label: Column, task: Task) -> dict[str, Any]:
    if task is Task.REGRESSION:
        spread = _rounded(label.spread) or 1.0
        return {
            "typical": _rounded(label.mean),
            "spread": spread,
            "limit_value": spread,
            "tolerated": _rounded(spread / 50),
            "commonest": "",
            "commonest_share": 0.0,
        }
    commonest, count = label.values[0]
    values = [value for value, _ in label.values]
    if task is Task.BINARY and values[0].strip().lower() in _POSITIVES:
        values.reverse()
    if task is Task.CLASSES:
        values = sorted(values, key=None if label.kind is Kind.BYTES else float)
    share = int(count / label.present * 1000) / 1000
    return {
        "classes": [_literal(value, label.kind) for value in values],
        "commonest": commonest.replace("\\", "\\\\").replace('"', "'").replace("`", "'"),
        "commonest_share": share,
        "limit_value": 0.6 if task is Task.BINARY else share,
    }


def _rounded(number: float) -> float:
    return float(f"{number:.3g}")


def _literal(value: str, kind: Kind) -> str:
    if kind is Kind.BYTES:
        return _quoted(value)
    return repr(int(value)) if kind is Kind.INT else repr(float(value))


def _quoted(text: str) -> str:
    """Return text as a literal that Python and TOML both read."""
    return json.dumps(text, ensure_ascii=False)


def _csv_options(table: Table) -> list[tuple[str, str]]:
    options = []
    if table.delimiter != ",":
        options.append(("delimiter", _quoted(table.delimiter)))
    if table.encoding != "utf-8":
        options.append(("encoding", _quoted(table.encoding)))
    if table.null_values:
        nulls = ", ".join(_quoted(value) for value in table.null_values)
        options.append(("null_values", f"({nulls},)"))
    return options


def _content(table: Table, label: str, drop_unlabeled: bool) -> bytes:
    """Return the file as it is, or without the rows that have no label."""
    if not drop_unlabeled:
        return table.path.read_bytes()
    rows = (row for _, row in read_rows(table.path, table.delimiter, table.encoding))
    header = next(rows)
    position = header.index(label)
    missing = {"", *table.null_values}
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=table.delimiter, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(row for row in rows if row[position] not in missing)
    return text.getvalue().encode(table.encoding)


def _schema(table: Table, label: Column, task: Task, categories: list[str]) -> str:
    """Return a schema that the file conforms to, as protobuf text."""
    from tensorflow_metadata.proto.v0 import schema_pb2

    schema = schema_pb2.Schema(default_environment=["TRAINING", "SERVING"])
    for column in table.columns:
        if not column.present:
            continue
        feature = schema.feature.add(
            name=column.name, type=schema_pb2.FeatureType.Value(column.kind.value)
        )
        if column.is_complete or column is label:
            feature.presence.min_fraction = 1.0
            feature.shape.dim.add(size=1)
        else:
            # Somewhat more may be missing another time.
            feature.presence.min_fraction = int(90 * column.present / column.rows) / 100
            feature.value_count.min = feature.value_count.max = 1
        feature.presence.min_count = 1
        is_class = column is label and task is not Task.REGRESSION
        if column is label:
            feature.not_in_environment.append("SERVING")
        few = not column.many_values and len(column.values) <= _LARGEST_DOMAIN
        if column.kind is Kind.BYTES and few and (is_class or column.name in categories):
            feature.domain = column.name
            schema.string_domain.add(name=column.name, value=sorted(v for v, _ in column.values))
    return _schema_text(schema)


def _schema_text(schema: Any) -> str:
    """Return a schema's text with a line for each field of a feature, as people write it."""
    from google.protobuf import text_format

    def on_one_line(message: Any) -> str:
        return text_format.MessageToString(message, as_utf8=True, as_one_line=True).strip()

    blocks = []
    for feature in schema.feature:
        fields = []
        for field, _ in feature.ListFields():
            only = type(feature)()
            only.CopyFrom(feature)
            for other, _ in feature.ListFields():
                if other.name != field.name:
                    only.ClearField(other.name)
            fields.append(f"  {on_one_line(only)}\n")
        blocks.append("feature {\n" + "".join(fields) + "}\n")
    rest = type(schema)()
    rest.CopyFrom(schema)
    rest.ClearField("feature")
    return "\n".join([*blocks, text_format.MessageToString(rest, as_utf8=True)])
