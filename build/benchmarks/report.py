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
DATA_STEPS = ("CsvExampleGen", "StatisticsGen", "Transform", "Evaluator")
_SMALL = ("SchemaGen", "ExampleValidator")


def write(measured: dict[str, Any], folder: Path) -> list[str]:
    """Write `benchmarks.md` and its plots into a folder; return the page's lines."""
    sizes = sorted({m["rows"] for m in measured["measurements"]} - {0})
    both = [rows for rows in sizes if _seconds(measured, "tfx", rows, None)] or sizes
    page = _introduction(measured)
    page += ["## Define and compile, in a fresh process", "", *_table(measured, 0), ""]
    for rows in both:
        page += [f"## {rows:,} rows", "", *_table(measured, rows), ""]
        page += _memory(measured, rows)
    page += ["## Time and memory of Penstock's steps", "", *_growth(measured, sizes), ""]
    images = folder / "images"
    images.mkdir(parents=True, exist_ok=True)
    for name, svg in _plots(measured, sizes, both[-1]).items():
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
        "A node's seconds are those of its work. TFX imports its libraries before the first node;",
        "Penstock does beside the first ones. The whole pipeline has both, from the start of the",
        "process to its end.",
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


def _growth(measured: dict[str, Any], sizes: Sequence[int]) -> list[str]:
    """Return a table of seconds, with seconds a million rows, and of peak memory by rows."""
    lines = [
        "Medians; in brackets seconds for each million of rows, and the peak memory of the step.",
        "",
        "| step | " + " | ".join(f"{rows:,} rows" for rows in sizes) + " |",
        "|---|" + "---|" * len(sizes),
    ]
    for node in DATA_STEPS:
        cells = []
        for rows in sizes:
            seconds = median(_seconds(measured, "penstock", rows, node))
            peak = median(_peaks(measured, "penstock", rows, node))
            cells.append(f"{seconds:.1f} ({seconds / rows * 1e6:.1f}; {peak / 1e6:,.0f} MB)")
        lines.append(f"| {node} | " + " | ".join(cells) + " |")
    return lines


def _peaks(measured: dict[str, Any], engine: str, rows: int, node: str | None) -> list[float]:
    found = [m for m in measured["measurements"] if (m["engine"], m["rows"]) == (engine, rows)]
    return [m["peak"] if node is None else m["memory"].get(node, 0.0) for m in found]


def _memory(measured: dict[str, Any], rows: int) -> list[str]:
    peaks = {engine: _peaks(measured, engine, rows, None) for engine in ("tfx", "penstock")}
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


def _plots(measured: dict[str, Any], sizes: Sequence[int], compared: int) -> dict[str, str]:
    engines = [e for e in ("penstock", "tfx") if _seconds(measured, e, compared, None)]
    nodes = [node for node in NODES if node not in _SMALL]
    bars = {
        engine: [median(_seconds(measured, engine, compared, node)) for node in nodes]
        for engine in engines
    }
    whole = {
        engine: [
            (float(rows), median(found))
            for rows in sizes
            if (found := _seconds(measured, engine, rows, None))
        ]
        for engine in engines
    }
    memory = {
        engine: [
            (float(rows), median(found) / 1e6)
            for rows in sizes
            if (found := _peaks(measured, engine, rows, None))
        ]
        for engine in engines
    }
    steps = {
        node: [(float(n), median(_seconds(measured, "penstock", n, node))) for n in sizes]
        for node in DATA_STEPS
    }
    title = f"Seconds by node, {compared:,} rows, logarithmic"
    return {
        "time-by-node": plots.bars(title, nodes, bars, "s"),
        "time-by-rows": plots.lines("Whole pipeline", whole, "rows", "seconds"),
        "steps-by-rows": plots.lines("Penstock's data steps", steps, "rows", "seconds"),
        "memory-by-rows": plots.lines("Peak memory", memory, "rows", "MB"),
    }
