"""Components that need nothing but the core, and one that says that it needs more."""

from __future__ import annotations

from pathlib import Path

from penstock import Input, Output, component
from penstock.artifacts import Examples, Model
from penstock.data.splits import split_files


@component
def Next(value: int) -> int:
    """Count on."""
    return value + 1


@component
def Learn(examples: Input[Examples], model: Output[Model]) -> int:
    """Write a model that knows how many rows it has seen."""
    from penstock.data.records import read_record_batches

    batches = read_record_batches(split_files(examples, "train"))
    rows = sum(batch.num_rows for batch in batches)
    folder = Path(model.uri, "Format-Serving")
    folder.mkdir(parents=True)
    (folder / "rows.txt").write_text(str(rows))
    return rows


@component(preload=("xgboost",))
def Boosted(value: int) -> int:
    """Need a library that is in an extra."""
    return value


@component
def Reads(path: str, value: int) -> int:
    """Read a number that somebody may still have to write."""
    return value + int(Path(path).read_text())


@component
def ImportsLater(value: int) -> int:
    """Import a library that it has not named."""
    import xgboost  # noqa: F401

    return value
