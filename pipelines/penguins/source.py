"""The penguins as an artifact of the pipeline."""

from __future__ import annotations

from typing import Any

from penstock import Output, Resolved, component
from penstock.artifacts import Tables
from penstock.pipelines.penguins import data


def _resolve(parameters: dict[str, Any]) -> dict[str, Any]:
    return {"data_fingerprint": data.fingerprint(parameters["data_root"])}


@component(resolve=_resolve)
def PenguinsCsv(
    tables: Output[Tables],
    data_root: str = "",
    data_fingerprint: Resolved[str] = "",
) -> None:
    """Take in the CSV files of the folder `data_root`, by default the 344 rows of palmerpenguins.

    Raises:
      DataError: the folder has no CSV file, or the package is not installed.
    """
    if data_root:
        data.copy_files(data_root, tables.uri)
    else:
        data.write_data(tables.uri)
    tables.set_string_custom_property("data_fingerprint", data_fingerprint)
