"""Penstock beside TFX and others that run pipelines; writes docs/benchmarks.md and its JSON.

    python build/benchmarks/bench.py [--only PART,PART] [--rows N,N] [--repeats N]

What is measured takes the place of the earlier measurement of the same, after each turn, and all
else stays as it was, with its date. So a run that is stopped leaves what it has.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import beside_tfx
import chain
import measurements
import nodes
import report
import taxi_template
import warm
from measurements import Comparison
from plan import Plan
from processes import MeasurementError

DOCS = Path(__file__).parents[2] / "docs"
PARTS: Mapping[str, Callable[[Plan], Iterator[Comparison]]] = {
    chain.PART: chain.measure,
    nodes.PART: nodes.measure,
    "first": warm.first,
    taxi_template.PART: taxi_template.measure,
    "edited": warm.edited,
    beside_tfx.PART: beside_tfx.measure,
    "penguins": warm.of_penguins,
}
USUAL = [part for part in PARTS if part != "penguins"]


def main() -> None:
    """Measure as the command line asks, and write the pages; exit with 1 where a part fails."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", default=",".join(USUAL), help=f"parts, of {', '.join(PARTS)}")
    parser.add_argument("--rows", type=_numbers, help="the only numbers of rows")
    parser.add_argument("--repeats", type=int, help="how often each is measured")
    parser.add_argument("--data", type=Path, default=Path(tempfile.gettempdir(), "penstock-rides"))
    parser.add_argument("--output", type=Path, default=DOCS, help="where the pages go")
    parser.add_argument("--from-json", type=Path, help="make the pages of this measurement")
    options = parser.parse_args()
    parts = options.only.split(",")
    if unknown := [part for part in parts if part not in PARTS]:
        parser.error(f"{', '.join(unknown)}: expected some of {', '.join(PARTS)}")
    options.output.mkdir(parents=True, exist_ok=True)
    if options.from_json:
        report.write(measurements.read(options.from_json), options.output)
        return
    plan = Plan(options.data, options.rows, options.repeats)
    failed = [part for part in parts if not measured(part, plan, options.output)]
    if failed:
        sys.exit(f"not measured, see above: {', '.join(failed)}")


def measured(part: str, plan: Plan, output: Path) -> bool:
    """Measure a part, and write all that is known after each turn; return whether it worked."""
    kept = output / "benchmarks.json"
    try:
        for comparison in PARTS[part](plan):
            known = measurements.merged(measurements.read(kept), [comparison])
            measurements.write(kept, known)
            report.write(known, output)
    except MeasurementError as error:
        print(f"{part}: {error}", file=sys.stderr)
        return False
    return True


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in text.split(",") if number)


if __name__ == "__main__":
    main()
