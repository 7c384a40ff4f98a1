"""A light project that trains on a month of flights when it arrives as a span."""

from __future__ import annotations

import csv
import io
import zipfile
from pathlib import Path

from penstock.pipelines.flights.package_data import package_file

COLUMNS = ("month", "carrier", "origin", "distance", "arr_delay")

PIPELINE = '''
"""Means of the delay by carrier, learned from the flights of one span."""

import json
import time
from pathlib import Path

from penstock import Input, Output, component, pipeline
from penstock.artifacts import Examples, Model
from penstock.components import CsvExampleGen
from penstock.data.spans import RangeConfig, StaticRange
from penstock.data.splits import InputConfig, InputSplit


@component
def Learns(examples: Input[Examples], model: Output[Model], folder: str) -> int:
    """Learn from the rows of a month; wait as long as there is a file `waiting`."""
    from penstock.data.records import read_record_batches
    from penstock.data.splits import split_files

    Path(folder, "began").touch()
    while Path(folder, "waiting").exists():
        time.sleep(0.01)
    delays, rows = {}, 0
    for split in ("train", "eval"):
        for batch in read_record_batches(split_files(examples, split)):
            rows += batch.num_rows
            for row in batch.to_pylist():
                delays.setdefault(row["carrier"][0].decode(), []).extend(row["arr_delay"])
    means = {carrier: sum(known) / len(known) for carrier, known in delays.items()}
    Path(model.uri, "model.json").write_text(json.dumps(means))
    return rows


@pipeline
def delays(data: str = "", folder: str = "", span: int = 0):
    month = CsvExampleGen(
        input_base=data,
        input_config=InputConfig((InputSplit("flights", "month-{SPAN}/flights.csv"),)),
        range_config=RangeConfig(static_range=StaticRange(span, span)),
    )
    return Learns(examples=month.outputs["examples"], folder=folder)
'''

CONFIG = """
[pipelines]
delays = "delays.py:delays"
[profiles.default]
pipeline_root = "root"
parallelism = 1
[profiles.default.parameters.delays]
data = "{folder}/data"
folder = "{folder}"
[triggers.new_month]
when = {{ span = "data/month-{{SPAN}}", quiet = "1s" }}
run = "delays"
parameters = {{ span = "{{SPAN}}" }}
catch_up = "all"
"""


def write(folder: Path) -> None:
    (folder / "delays.py").write_text(PIPELINE)
    (folder / "penstock.toml").write_text(CONFIG.format(folder=folder))


def month(number: int, rows: int) -> str:
    """Return the first flights of a month as CSV."""
    with zipfile.ZipFile(package_file("flights")) as packed:
        [name] = [n for n in packed.namelist() if n.endswith("flights.csv")]
        with packed.open(name) as file:
            out = io.StringIO()
            writer = csv.DictWriter(out, COLUMNS, extrasaction="ignore")
            writer.writeheader()
            for row in csv.DictReader(io.TextIOWrapper(file)):
                if int(row["month"]) == number and row["arr_delay"] not in ("", "NA"):
                    writer.writerow(row)
                    rows -= 1
                if not rows:
                    break
            return out.getvalue()


def arrive(folder: Path, number: int, rows: int = 300) -> None:
    """Let a month of flights arrive, whole."""
    path = folder / "data" / f"month-{number}" / "flights.csv"
    path.parent.mkdir(parents=True)
    path.write_text(month(number, rows))
