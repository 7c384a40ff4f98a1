"""The pages of what was measured: the table of targets, medians with their spread, and plots."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import plots
import targets
from both_pipelines import NODES
from measurements import Comparison
from medians import Spread

DATA_STEPS = ("CsvExampleGen", "StatisticsGen", "Transform", "Evaluator")
TFX_PAGE = "from-tfx.md"
BEGIN, END = "<!-- measured: taxi template -->", "<!-- end of measured: taxi template -->"
_SMALL = ("SchemaGen", "ExampleValidator")
_TEMPLATE = {
    "tfx": "TFX's `LocalDagRunner`, a script",
    "plain": "`LocalRunner(accelerate=False)`, a script",
    "script": "`LocalRunner()`, a script",
    "cold": "`penstock run`, cold",
    "warm": "`penstock run`, warm",
}
_EDITED = {
    "tfx": "the whole template by TFX",
    "cold": "edited and run again, cold",
    "warm": "edited and run again, warm",
}
_KINDS = {"cold": "cold", "warm": "warm"}
_CHAIN = {
    "penstock run": "`penstock run`",
    "script": "`LocalRunner`, a script",
    "metaflow": "Metaflow, `python FLOW run`",
    "zenml": "ZenML, a script",
    "dagster": "Dagster, `dagster job execute`",
}
_INTRODUCTION = """\
# Benchmarks

Penstock beside TFX with its `LocalDagRunner`, and beside other tools that run pipelines: the same
data and user code, in processes of their own, by turns. Written by `make bench`; all that it
measured is in [benchmarks.json](benchmarks.json).

Seconds are from the start of a process to its end. CPU seconds are those of that process and of
all that worked for it: those that it has started, and copies of the [daemon](daemon.md). Cold is
without a daemon, warm with one that is ready; in both, bytecode and [what AutoGraph has
made](performance.md#saving-models-and-autograph) of libraries are there from earlier runs. Figures
are medians, with the least and the greatest; a ratio is that of the medians, and its least and
greatest are those of single turns.

## Targets
""".splitlines()


def write(comparisons: Sequence[Comparison], folder: Path) -> None:
    """Write `benchmarks.md` and its plots into a folder, and its table into the page for TFX's."""
    page = [*_INTRODUCTION, "", *targets.table(comparisons), ""]
    page += _components([one for one in comparisons if one.part == "components"], folder / "images")
    for one in _of(comparisons, "template"):
        page += [f"## TFX's taxi template, {one.rows:,} rows", "", *_ways(one, _TEMPLATE), ""]
    for one in _of(comparisons, "edited"):
        title = f"## A line of the template's run_fn edited, {one.rows:,} rows"
        page += [title, "", *_ways(one, _EDITED), ""]
    for one in _of(comparisons, "penguins"):
        page += ["## A line of the penguins' run_fn edited", "", *_ways(one, _KINDS), ""]
    for one in _of(comparisons, "first"):
        title = f"## The first run of a project of `penstock init`, {one.rows:,} rows"
        page += [title, "", *_beside(one), ""]
    for one in _of(comparisons, "chain"):
        page += ["## Twenty empty nodes in a chain", "", *_ways(one, _CHAIN), ""]
    if chains := _of(comparisons, "nodes"):
        page += ["## Empty nodes in longer chains", "", *_chains(chains), ""]
    page += ["## Measured when, and with what", "", *_when(comparisons), ""]
    text = "\n".join(page).rstrip() + "\n"
    (folder / "benchmarks.md").write_text(text, encoding="utf-8")
    template = _of(comparisons, "template")
    if template and (folder / TFX_PAGE).exists():
        _write_template(template, folder / TFX_PAGE)


def _of(comparisons: Sequence[Comparison], part: str) -> list[Comparison]:
    return sorted((one for one in comparisons if one.part == part), key=lambda one: one.rows)


def _shown(found: Spread | None, digits: int = 1) -> str:
    return "" if found is None else found.shown(digits)


def _ways(one: Comparison, titles: Mapping[str, str]) -> Iterator[str]:
    yield "| | seconds | CPU seconds |"
    yield "|---|---|---|"
    for way, title in titles.items():
        if way in one.ways():
            yield f"| {title} | {_shown(one.walls(way))} | {_shown(one.cpus_of(way))} |"


def _beside(one: Comparison) -> Iterator[str]:
    besides = one.beside_nodes()
    yield "| | seconds | of them beside the nodes | CPU seconds | of them beside the nodes |"
    yield "|---|---|---|---|---|"
    for way in one.ways():
        yield (
            f"| {way} | {_shown(one.walls(way))} | {_shown(besides.walls(way))} "
            f"| {_shown(one.cpus_of(way))} | {_shown(besides.cpus_of(way))} |"
        )


def _chains(chains: Sequence[Comparison]) -> Iterator[str]:
    """Yield what chains take by their length, and what each node beyond the shortest one does."""
    yield "Seconds of whole commands in fresh processes; behind them milliseconds for each node"
    yield f"beyond the first {chains[0].rows}. A second run takes all nodes from the cache."
    yield ""
    titles = {"run": "run", "cached": "run again", "plan": "plan", "compile": "compile"}
    yield "| nodes | " + " | ".join(titles.values()) + " |"
    yield "|---|" + "---|" * len(titles)
    for one in chains:
        cells = []
        for way in titles:
            wall, shortest = one.walls(way), chains[0].walls(way)
            more = one.rows - chains[0].rows
            each = "" if not (wall and shortest and more) else _each(wall, shortest, more)
            cells.append(_shown(wall) + each)
        yield f"| {one.rows:,} | " + " | ".join(cells) + " |"


def _each(wall: Spread, shortest: Spread, more: int) -> str:
    return f"; **{1000 * (wall.median - shortest.median) / more:.0f}**"


def _when(comparisons: Sequence[Comparison]) -> Iterator[str]:
    yield "| part | rows | on | turns | CPUs | Python | versions |"
    yield "|---|---|---|---|---|---|---|"
    for one in comparisons:
        rows = f"{one.rows:,}" if one.rows else ""
        name = one.part if one.case == "run" else f"{one.part}, {one.case}"
        libraries = ", ".join(f"{name} {number}" for name, number in one.versions.items())
        yield (
            f"| {name} | {rows} | {one.date} | {len(one.turns)} | {one.cpus} | {one.python} "
            f"| {libraries} |"
        )


def _components(comparisons: Sequence[Comparison], images: Path) -> Iterator[str]:
    defined = [one for one in comparisons if one.case == "define"]
    runs = sorted((one for one in comparisons if one.case == "run"), key=lambda one: one.rows)
    compared = [one for one in runs if "tfx" in one.ways()]
    yield from ["## Penstock's components beside TFX's", ""]
    yield from [
        "A node's seconds are those of its work. TFX imports its libraries before the first"
    ]
    yield from ["node; Penstock does beside the first ones. The whole pipeline has both.", ""]
    for one in defined:
        yield from ["### Define and compile, in a fresh process", ""]
        yield from ["| | TFX | Penstock | times faster |", "|---|---|---|---|"]
        yield from [_row(one, "define and compile", None, "penstock"), ""]
    for one in compared:
        yield from [f"### {one.rows:,} rows", ""]
        yield from ["| step | TFX | Penstock | times faster |", "|---|---|---|---|"]
        yield from (_row(one, node, node, "cold") for node in NODES)
        for way in _KINDS:
            if way in one.ways():
                yield _row(one, f"whole pipeline, {way}", None, way)
        yield from ["", *_whole(one), ""]
    if not runs:
        return
    yield from ["### Time and memory of Penstock's steps", "", *_growth(runs), ""]
    images.mkdir(parents=True, exist_ok=True)
    for name, svg in _plots(runs, compared).items():
        (images / f"{name}.svg").write_text(svg, encoding="utf-8")
        yield from [f"![{name.replace('-', ' ')}](images/{name}.svg)", ""]


def _row(one: Comparison, name: str, node: str | None, ours: str) -> str:
    ratio = one.ratio("tfx", ours, node)
    times = "" if ratio is None else f"**{ratio.median:.1f}** ({_range(ratio)})"
    return (
        f"| {name} | {_shown(one.walls('tfx', node))} | {_shown(one.walls(ours, node))} | {times} |"
    )


def _range(found: Spread) -> str:
    return f"{found.least:.1f} to {found.greatest:.1f}"


def _whole(one: Comparison) -> Iterator[str]:
    """Yield the CPU seconds and the memory of whole runs, where they are known."""
    titles = {"tfx": "TFX", "cold": "Penstock, cold", "warm": "Penstock, warm"}
    yield "| whole pipeline | CPU seconds | peak memory of the largest process |"
    yield "|---|---|---|"
    for way in one.ways():
        peak = one.peaks(way)
        memory = "" if peak is None else f"{peak.median / 1e6:,.0f} MB"
        yield f"| {titles[way]} | {_shown(one.cpus_of(way))} | {memory} |"


def _growth(runs: Sequence[Comparison]) -> Iterator[str]:
    """Yield a table of seconds, with seconds a million rows, and of peak memory by rows."""
    yield "Medians; in brackets seconds for each million of rows, and the peak memory of the step."
    yield ""
    yield "| step | " + " | ".join(f"{one.rows:,} rows" for one in runs) + " |"
    yield "|---|" + "---|" * len(runs)
    for node in DATA_STEPS:
        cells = []
        for one in runs:
            seconds, peak = one.walls("cold", node), one.peaks("cold", node)
            assert seconds is not None, f"{node} was measured"
            memory = "" if peak is None else f"; {peak.median / 1e6:,.0f} MB"
            cells.append(f"{seconds.median:.1f} ({seconds.median / one.rows * 1e6:.1f}{memory})")
        yield f"| {node} | " + " | ".join(cells) + " |"


def _plots(runs: Sequence[Comparison], compared: Sequence[Comparison]) -> dict[str, str]:
    engines = {"penstock": "cold", "tfx": "tfx"}
    largest = (compared or runs)[-1]
    nodes = [node for node in NODES if node not in _SMALL]
    bars = {
        name: [_median(largest.walls(way, node)) for node in nodes]
        for name, way in engines.items()
        if way in largest.ways()
    }
    whole = {
        name: [(one.rows, _median(one.walls(way))) for one in runs if way in one.ways()]
        for name, way in engines.items()
    }
    memory = {
        name: [(one.rows, _median(one.peaks(way)) / 1e6) for one in runs if way in one.ways()]
        for name, way in engines.items()
    }
    steps = {
        node: [(one.rows, _median(one.walls("cold", node))) for one in runs] for node in DATA_STEPS
    }
    title = f"Seconds by node, {largest.rows:,} rows, logarithmic"
    return {
        "time-by-node": plots.bars(title, nodes, bars, "s"),
        "time-by-rows": plots.lines("Whole pipeline", whole, "rows", "seconds"),
        "steps-by-rows": plots.lines("Penstock's data steps", steps, "rows", "seconds"),
        "memory-by-rows": plots.lines("Peak memory", memory, "rows", "MB"),
    }


def _median(found: Spread | None) -> float:
    return 0.0 if found is None else found.median


def _write_template(runs: Sequence[Comparison], page: Path) -> None:
    """Write the template's table into the page that tells of it."""
    lines = [
        "| CPU / wall seconds | " + " | ".join(f"{one.rows:,} rows" for one in runs) + " |",
        "|---" * (len(runs) + 1) + "|",
    ]
    for way, title in _TEMPLATE.items():
        cells = [_cpu_and_wall(one, way) for one in runs]
        if any(cells):
            lines.append(f"| {title} | " + " | ".join(cells) + " |")
    dates = ", ".join(sorted({one.date for one in runs}))
    table = "\n".join([*lines, "", f"Medians; measured on {dates}."])
    text = page.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    page.write_text(f"{before}{BEGIN}\n\n{table}\n\n{END}{after}", encoding="utf-8")


def _cpu_and_wall(one: Comparison, way: str) -> str:
    wall, cpu = one.walls(way), one.cpus_of(way)
    return f"{cpu.median:.1f} / {wall.median:.1f}" if wall and cpu else ""
