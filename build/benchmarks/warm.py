"""Runs that somebody waits for, with and without the project's daemon.

edited: a line of the run_fn of TFX's taxi template is edited and the pipeline run again, beside the
whole template by TFX. penguins: the same of the penguins. first: the first run of a project of
`penstock init` with 1,000 rows, in an empty store.
"""

from __future__ import annotations

import itertools
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import taxi_template
from measurements import Comparison, Sample, by_turns
from plan import Plan, versions
from projects import Project
from rides import write_rides

import penstock.pipelines.penguins as penguins

PENGUINS = """
[pipelines]
penguins = "penguins_here/pipeline.py:penguins"
"""
ROWS, CUSTOMERS = 10_000, 1_000
REPEATS = 3


def edited(plan: Plan) -> Iterator[Comparison]:
    """Measure runs of TFX's template after an edit, and the template by TFX in between."""
    data = write_rides(plan.data, ROWS)
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as whole:
        project = taxi_template.write(Path(folder), data, cached=True)
        peers = {"tfx": taxi_template.by_script(taxi_template.write(Path(whole), data), "tfx")}
        module = taxi_template.run_fn_of(project)
        with _edited(project, module, taxi_template.PIPELINE) as ways:
            key = ("edited", "run", ROWS)
            yield from by_turns(key, {**peers, **ways}, plan.times(REPEATS), versions())


def of_penguins(plan: Plan) -> Iterator[Comparison]:
    """Measure runs of the penguins after an edit."""
    with tempfile.TemporaryDirectory() as folder:
        project = Project(Path(folder))
        with _edited(project, write_penguins(project.folder), "penguins") as ways:
            yield from by_turns(("penguins", "run", 0), ways, plan.times(REPEATS), versions())


def first(plan: Plan) -> Iterator[Comparison]:
    """Measure first runs of a new project, whose nodes are told apart from what is beside them."""
    with tempfile.TemporaryDirectory() as name:
        outside = Project(Path(name))
        write_customers(outside.folder / "customers.csv")
        outside.penstock("init", "shop", "--data", "customers.csv", "--label", "Left")
        project = Project(outside.folder / "shop", made=(".penstock", "serving"))
        with project.daemon("shop"):
            ways = {kind: project.anew("shop", warm=kind == "warm") for kind in ("cold", "warm")}
            key = ("first", "run", CUSTOMERS)
            yield from by_turns(key, ways, plan.times(REPEATS), versions())


@contextmanager
def _edited(
    project: Project, module: Path, pipeline: str
) -> Iterator[Mapping[str, Callable[[], Sample]]]:
    """Have what edits a line and runs a pipeline again, cold and warm."""
    numbers = itertools.count()

    def again(*, warm: bool) -> Callable[[], Sample]:
        def measure() -> Sample:
            edit(module, next(numbers))
            return project.run(pipeline, warm=warm)

        return measure

    with project.daemon(pipeline):
        yield {"cold": again(warm=False), "warm": again(warm=True)}


def write_penguins(folder: Path) -> Path:
    """Write the penguins' pipeline into a project of its own; return the module with run_fn."""
    code = folder / "penguins_here"
    shutil.copytree(Path(penguins.__file__).parent, code)
    for module in code.glob("*.py"):
        text = module.read_text(encoding="utf-8")
        module.write_text(text.replace("penstock.pipelines.penguins", code.name), encoding="utf-8")
    (folder / "penstock.toml").write_text(PENGUINS, encoding="utf-8")
    return code / "model.py"


def write_customers(path: Path) -> None:
    """Write rows as those of the sample that `penstock init` brings."""
    draw = random.Random(7)
    lines = ["Customer,Age,Contract,Months,Charge,Left"]
    for number in range(CUSTOMERS):
        months, contract = draw.randrange(72), draw.choice(("monthly", "yearly"))
        leaves = draw.random() < (0.6 if contract == "monthly" else 0.1) - months / 200
        row = (f"C-{number:07}", draw.randrange(18, 90), contract, months)
        lines.append(",".join(map(str, (*row, f"{draw.uniform(10, 99):.2f}"))))
        lines[-1] += ",yes" if leaves else ",no"
    path.write_text("\n".join([*lines, ""]), encoding="utf-8")


def edit(module: Path, number: int) -> None:
    """Edit one line of run_fn, so that the Trainer and what follows it run again."""
    lines = module.read_text(encoding="utf-8").splitlines()
    lines = [line for line in lines if not line.strip().startswith("edited = ")]
    begin = next(index for index, line in enumerate(lines) if line.startswith("def run_fn("))
    while not lines[begin].rstrip().endswith(":"):
        begin += 1
    end = begin + 1
    indent = lines[end][: len(lines[end]) - len(lines[end].lstrip())]
    if lines[end].lstrip().startswith('"""'):
        while not lines[end].rstrip().endswith('"""'):
            end += 1
        end += 1
    lines.insert(end, f"{indent}edited = {number}")
    module.write_text("\n".join([*lines, ""]), encoding="utf-8")
