"""What was aimed at, as one table beside what was measured."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from measurements import Comparison, Key
from medians import Spread

NOT_MEASURED = "not measured"


@dataclass(frozen=True)
class Ratio:
    """One way is to be so many times as fast as another, by the clock."""

    title: str
    key: Key
    theirs: str
    ours: str
    target: float
    node: str | None = None


@dataclass(frozen=True)
class Seconds:
    """What a way takes, `beside` its nodes or as a whole, is to be so many seconds at most."""

    title: str
    key: Key
    ours: str
    target: float
    beside: str = " beside its nodes"


def _template(rows: int) -> Key:
    return "template", "run", rows


def _components(rows: int) -> Key:
    return "components", "run", rows


_EDITED: Key = ("edited", "run", 10_000)
_FIRST: Key = ("first", "run", 1_000)
_CHAIN: Key = ("chain", "run", 0)
_FIFTY: Key = ("nodes", "run", 50)

TARGETS: tuple[Ratio | Seconds, ...] = (
    Ratio(
        "TFX's taxi template by `penstock run`, 10,000 rows, cold",
        *(_template(10_000), "tfx", "cold", 2.5),
    ),
    Ratio(
        "its script as it is, only the runner exchanged, 10,000 rows",
        *(_template(10_000), "tfx", "script", 1.8),
    ),
    Ratio("the same, 500,000 rows", _template(500_000), "tfx", "script", 6),
    Ratio(
        "our components: whole pipeline, 500,000 rows, cold",
        *(_components(500_000), "tfx", "cold", 12),
    ),
    Ratio("whole pipeline, 10,000 rows, cold", _components(10_000), "tfx", "cold", 4),
    Ratio("whole pipeline, 10,000 rows, warm", _components(10_000), "tfx", "warm", 6),
    Ratio(
        "one line of the template's `run_fn` edited and run again, 10,000 rows, warm",
        *(_EDITED, "tfx", "warm", 8),
    ),
    *(
        # Cold, the first nodes share the processors with the imports for those that follow.
        Ratio(f"{node}, 500,000 rows, warm", _components(500_000), "tfx", "warm", target, node)
        for node, target in (("StatisticsGen", 15), ("CsvExampleGen", 25), ("Transform", 10))
    ),
    Seconds("first `penstock run` of an `init` project, 1,000 rows, cold", _FIRST, "cold", 2),
    Seconds("first `penstock run` of an `init` project, 1,000 rows, warm", _FIRST, "warm", 0.5),
    *(
        Ratio(f"twenty empty nodes in a chain, beside {name}", _CHAIN, peer, "penstock run", target)
        for name, peer, target in (
            ("Metaflow", "metaflow", 6),
            ("ZenML", "zenml", 9),
            ("Dagster", "dagster", 30),
        )
    ),
    Seconds("fifty nodes in a chain, all from the cache", _FIFTY, "cached", 3, beside=""),
)


def table(comparisons: Iterable[Comparison]) -> Iterator[str]:
    """Yield the lines of the table: ratios, or seconds beside the nodes, and what they are of."""
    known = {one.key: one for one in comparisons}
    yield "| what is compared | measured | target | met | theirs: s, CPU s | ours: s, CPU s | on |"
    yield "|---|---|---|---|---|---|---|"
    for target in TARGETS:
        yield _line(target, known.get(target.key))


def _line(target: Ratio | Seconds, comparison: Comparison | None) -> str:
    if isinstance(target, Ratio):
        aim, measured = f"{target.target:g} times", _ratio(target, comparison)
    else:
        aim, measured = f"{target.target:g} s{target.beside}", _beside(target, comparison)
    if comparison is None or measured is None:
        return f"| {target.title} | {NOT_MEASURED} | {aim} | | | | |"
    if isinstance(target, Ratio):
        met = measured.median >= target.target
        theirs = _seconds(comparison, target.theirs, target.node)
        ours = _seconds(comparison, target.ours, target.node)
    else:
        met = measured.median <= target.target
        theirs, ours = "", _seconds(comparison, target.ours, None)
    answer = "yes" if met else "**no**"
    return (
        f"| {target.title} | {measured.shown()} | {aim} | {answer} | {theirs} | {ours} "
        f"| {comparison.date} |"
    )


def _ratio(target: Ratio, comparison: Comparison | None) -> Spread | None:
    if comparison is None:
        return None
    return comparison.ratio(target.theirs, target.ours, target.node)


def _beside(target: Seconds, comparison: Comparison | None) -> Spread | None:
    if comparison is None:
        return None
    # Nothing is known of nodes where the whole is meant.
    return comparison.beside_nodes().walls(target.ours)


def _seconds(comparison: Comparison, way: str, node: str | None) -> str:
    """Return the median seconds of a way, and its CPU seconds where they are known."""
    wall, cpu = comparison.walls(way, node), comparison.cpus_of(way, node)
    assert wall is not None, "a ratio was made of it"
    return f"{wall.median:.1f}" if cpu is None else f"{wall.median:.1f}, {cpu.median:.1f}"
