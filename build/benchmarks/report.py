"""The page of a measurement: medians, their spread, ratios, and plots."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import plots
from both_pipelines import NODES

TARGETS = {
    "define and compile": 25,
    "CsvExampleGen": 20,
    "StatisticsGen": 15,
    "Transform": 6,
    "Evaluator": 8,
    "whole pipeline": 6,
}
_SMALL = ("SchemaGen", "ExampleValidator")


def write(measured: dict[str, Any], folder: Path) -> list[str]:
    """Write `benchmarks.md` and its plots into a folder; return the page's lines."""
    sizes = sorted({m["rows"] for m in measured["measurements"]} - {0})
    page = _introduction(measured)
    page += ["## Define and compile, in a fresh process", "", *_table(measured, 0), ""]
    for rows in sizes:
        page += [f"## {rows:,} rows", "", *_table(measured, rows), ""]
        page += _memory(measured, rows)
    images = folder / "images"
    images.mkdir(parents=True, exist_ok=True)
    for name, svg in _plots(measured, sizes).items():
        (images / f"{name}.svg").write_text(svg, encoding="utf-8")
        page += [f"![{name.replace('-', ' ')}](images/{name}.svg)", ""]
    text = "\n".join(page).rstrip() + "\n"
    (folder / "benchmarks.md").write_text(text, encoding="utf-8")
    return page


def _introduction(measured: dict[str, Any]) -> list[str]:
    libraries = ", ".join(f"{name} {number}" for name, number in measured["libraries"].items())
    return [
        "# Benchmarks",
        "",
        "Penstock beside TFX with its `LocalDagRunner`: the same data, user code and evaluation,",
        "in processes of their own, in turn. Written by `make bench`; all that it measured is in",
        "[benchmarks.json](benchmarks.json).",
        "",
        f"{measured['cpus']} CPUs, Python {measured['python']}, {libraries}; "
        f"{measured['repeats']} repeats. Medians, with the least and the greatest; seconds.",
        "",
    ]


def _seconds(measured: dict[str, Any], engine: str, rows: int, node: str | None) -> list[float]:
    found = [m for m in measured["measurements"] if (m["engine"], m["rows"]) == (engine, rows)]
    return [m["seconds"] if node is None else m["nodes"].get(node, 0.0) for m in found]


def _table(measured: dict[str, Any], rows: int) -> list[str]:
    steps: list[tuple[str, str | None]] = (
        [(node, node) for node in NODES] + [("whole pipeline", None)]
        if rows
        else [("define and compile", None)]
    )
    lines = ["| step | TFX | Penstock | times faster | target |", "|---|---|---|---|---|"]
    for name, node in steps:
        theirs = _seconds(measured, "tfx", rows, node)
        ours = _seconds(measured, "penstock", rows, node)
        lines.append(
            f"| {name} | {_shown(theirs)} | {_shown(ours)} | {_ratio(theirs, ours)} "
            f"| {TARGETS.get(name, '')} |"
        )
    return lines


def _memory(measured: dict[str, Any], rows: int) -> list[str]:
    peaks = {
        engine: [
            m["peak"]
            for m in measured["measurements"]
            if (m["engine"], m["rows"]) == (engine, rows)
        ]
        for engine in ("tfx", "penstock")
    }
    shown = [f"{name} {median(found) / 1e6:,.0f} MB" for name, found in peaks.items() if found]
    return [f"Peak memory of the largest process: {', '.join(shown)}.", ""]


def _shown(values: Sequence[float]) -> str:
    if not values:
        return "not measured"
    return f"{median(values):.1f} ({min(values):.1f} to {max(values):.1f})"


def _ratio(theirs: Sequence[float], ours: Sequence[float]) -> str:
    """Return the ratio of the medians, and the spread of the ratios of neighbouring runs."""
    if not theirs or not ours or min(ours) <= 0:
        return "not measured"
    paired = [a / b for a, b in zip(theirs, ours, strict=False)]
    return f"**{median(theirs) / median(ours):.1f}** ({min(paired):.1f} to {max(paired):.1f})"


def _plots(measured: dict[str, Any], sizes: Sequence[int]) -> dict[str, str]:
    engines = [e for e in ("penstock", "tfx") if _seconds(measured, e, sizes[-1], None)]
    nodes = [node for node in NODES if node not in _SMALL]
    bars = {
        engine: [median(_seconds(measured, engine, sizes[-1], node)) for node in nodes]
        for engine in engines
    }
    whole = {
        engine: [(float(n), median(_seconds(measured, engine, n, None))) for n in sizes]
        for engine in engines
    }
    memory = {
        engine: [
            (
                float(n),
                median(
                    m["peak"] / 1e6
                    for m in measured["measurements"]
                    if (m["engine"], m["rows"]) == (engine, n)
                ),
            )
            for n in sizes
        ]
        for engine in engines
    }
    return {
        "time-by-node": plots.bars(f"Seconds by node, {sizes[-1]:,} rows", nodes, bars, "s"),
        "time-by-rows": plots.lines("Whole pipeline", whole, "rows", "seconds"),
        "memory-by-rows": plots.lines("Peak memory", memory, "rows", "MB"),
    }
