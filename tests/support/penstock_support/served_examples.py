"""Rows of a prediction log as the examples of a window, without a server and a log."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from penstock.authoring import artifacts
from penstock.monitoring.measures import Window
from penstock.monitoring.windows import WINDOW
from penstock.serving.log.columns import OWN_TYPES, REQUEST, ROW, TIME, VERSION

DAY = Window(datetime(2026, 5, 4, tzinfo=UTC), datetime(2026, 5, 5, tzinfo=UTC), 20577, 20577)


def logged(features: Mapping[str, Any] | pa.Table, window: Window = DAY, **own: Any) -> pa.Table:
    """Return features as the rows of a log: asked one by one, evenly over the window."""
    table = features if isinstance(features, pa.Table) else pa.table(dict(features))
    rows = table.num_rows
    length = (window.end - window.begin) / timedelta(microseconds=1)
    begin = window.begin.timestamp() * 1e6
    given: dict[str, Any] = {
        REQUEST: [f"request-{number}" for number in range(rows)],
        ROW: [0] * rows,
        TIME: (begin + np.arange(rows) * length / max(rows, 1)).astype(np.int64),
        VERSION: [3] * rows,
        **{f"log/{name}": values for name, values in own.items()},
    }
    for name, values in given.items():
        table = table.append_column(name, pa.array(values, OWN_TYPES[name]))
    return table


def examples_of(
    table: pa.Table, folder: Path, split: str = "served", window: Window | None = DAY
) -> Any:
    """Return an artifact with one split; without a window it is no log's."""
    made = artifacts.Examples()
    made.uri = str(folder)
    made.split_names = json.dumps([split])
    (folder / f"Split-{split}").mkdir(parents=True)
    pq.write_table(table, folder / f"Split-{split}" / "data_parquet-00000-of-00001.parquet")
    if window is not None:
        made.set_string_custom_property(WINDOW, json.dumps(window.to_json()))
    return made
