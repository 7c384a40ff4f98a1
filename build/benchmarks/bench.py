"""Penstock beside TFX on one machine, run after run in turn; writes a page with tables and plots.

python build/benchmarks/bench.py --rows 10000,100000,500000 --repeats 3
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import report
from rides import write_rides

HERE = Path(__file__).parent
DOCS = HERE.parents[1] / "docs"
LIBRARIES = ("tfx", "tensorflow", "tensorflow-transform", "apache-beam", "pyarrow", "ml-metadata")


def main() -> None:
    """Measure as the command line asks, or read an earlier measurement, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", default="10000,100000,500000", help="numbers of rows")
    parser.add_argument("--repeats", type=int, default=3, help="how often each is measured")
    parser.add_argument(
        "--more-rows", default="10000000", help="numbers of rows that Penstock alone takes, once"
    )
    parser.add_argument("--only-penstock", action="store_true", help="leave TFX out")
    parser.add_argument("--data", type=Path, help="where generated data is kept")
    parser.add_argument("--output", type=Path, default=DOCS, help="where the page goes")
    parser.add_argument("--from-json", type=Path, help="make the page of this measurement")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    raw = options.output / "benchmarks.json"
    page: list[str] = []
    for measured in _read(options.from_json) if options.from_json else _measured(options):
        # After each repeat, so that one that is stopped leaves those before it.
        raw.write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")
        page = report.write(measured, options.output)
    for line in page:
        print(line)


def _read(path: Path) -> Iterator[dict[str, Any]]:
    yield json.loads(path.read_text(encoding="utf-8"))


def _measured(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    engines = ["penstock"] if options.only_penstock else ["tfx", "penstock"]
    data = options.data or Path(tempfile.gettempdir(), "penstock-benchmark-data")
    return measure_all(
        _numbers(options.rows), _numbers(options.more_rows), options.repeats, engines, data
    )


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",") if number]


def measure_all(
    rows: list[int], more_rows: list[int], repeats: int, engines: list[str], data: Path
) -> Iterator[dict[str, Any]]:
    """Measure both in turn, so that what else the machine does meets them alike.

    Yields all that is measured so far, after each repeat. `more_rows` are measured after the
    first, of Penstock alone.
    """
    found: list[dict[str, Any]] = []
    for repeat in range(repeats):
        for engine in engines:
            found.append(_measure("define", engine, 0, repeat, data))
        for count in rows:
            for engine in engines:
                found.append(_measure("run", engine, count, repeat, data))
        for count in more_rows if not repeat else ():
            found.append(_measure("run", "penstock", count, repeat, data))
        yield {
            "libraries": {name: version(name) for name in LIBRARIES},
            "python": platform.python_version(),
            "cpus": len(os.sched_getaffinity(0)),
            "repeats": repeat + 1,
            "measurements": found,
        }


def _measure(what: str, engine: str, rows: int, repeat: int, data: Path) -> dict[str, Any]:
    source = write_rides(data, rows) if rows else data
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-W", "ignore", str(HERE / "measure.py")]
        done = subprocess.run(
            [*command, what, engine, str(source), folder],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"},
        )
    if done.returncode:
        sys.exit(f"{what} {engine} {rows}:\n{done.stderr[-3000:]}")
    result = json.loads(done.stdout.splitlines()[-1])
    shown = f"{rows:,} rows" if rows else ""
    print(f"{what:<7} {engine:<9} {shown:<13} {result['seconds']:8.1f} s", file=sys.stderr)
    return {"what": what, "engine": engine, "rows": rows, "repeat": repeat, **result}


if __name__ == "__main__":
    main()
