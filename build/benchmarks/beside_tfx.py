"""Penstock's components beside TFX's, with the same data, user code and configuration."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from measurements import Comparison, Sample, by_process, by_turns
from plan import Plan, versions
from processes import timed
from projects import ENVIRONMENT, HERE, Project, sample
from rides import write_rides

PART = "components"
# With the repeats of each; above the last but one TFX takes too long.
SIZES = {10_000: 3, 100_000: 1, 500_000: 3, 10_000_000: 1}
WARM, WITHOUT_TFX = (10_000, 500_000), (10_000_000,)
PIPELINE = "rides_here.py:rides"
_PROJECT = {
    "penstock.toml": f'[pipelines]\nrides = "{PIPELINE}"\n',
    "rides_here.py": "from both_pipelines import for_penstock\n\nrides = for_penstock({data!r})\n",
}


def measure(plan: Plan) -> Iterator[Comparison]:
    """Measure definition and runs, size after size."""
    ways = {who: _defining(who, plan.data) for who in ("tfx", "penstock")}
    yield from by_turns((PART, "define", 0), ways, plan.times(3), versions())
    for rows, repeats in plan.sizes(SIZES).items():
        yield from _runs(write_rides(plan.data, rows), rows, repeats)


def _runs(data: Path, rows: int, repeats: int) -> Iterator[Comparison]:
    with ExitStack() as stack:
        project = Project(Path(stack.enter_context(tempfile.TemporaryDirectory())))
        for name, text in _PROJECT.items():
            content = text.replace("{data!r}", repr(str(data)))
            (project.folder / name).write_text(content, encoding="utf-8")
        ways: dict[str, Callable[[], Sample]] = {}
        if rows not in WITHOUT_TFX:
            ways["tfx"] = lambda: _by_tfx(data)
        ways["cold"] = project.anew(PIPELINE, warm=False)
        if rows in WARM:
            stack.enter_context(project.daemon(PIPELINE))
            ways["warm"] = project.anew(PIPELINE, warm=True)
        yield from by_turns((PART, "run", rows), ways, repeats, versions())


def _defining(who: str, data: Path) -> Callable[[], Sample]:
    def measure() -> Sample:
        with tempfile.TemporaryDirectory() as folder:
            return by_process(_own_process("define", who, data, folder), HERE, ENVIRONMENT)()

    return measure


def _by_tfx(data: Path) -> Sample:
    with tempfile.TemporaryDirectory() as folder:
        taken = timed(_own_process("run", data, folder), HERE, ENVIRONMENT)
        found = sample(taken, str(Path(folder, "store")))
        of_nodes = json.loads(Path(folder, "cpu.json").read_text(encoding="utf-8"))
    nodes = {name: replace(node, cpu=of_nodes[name]) for name, node in found.nodes.items()}
    return replace(found, nodes=nodes)


def _own_process(*arguments: str | Path) -> list[str | Path]:
    return [sys.executable, "-W", "ignore", HERE / "tfx_process.py", *arguments]
