"""What the steps for data take by how many rows they have, and by who does their parts.

python build/benchmarks/scale.py [--rows 1000000,10000000] [--who process,parquet,spark,ray]
    [--repeats 1] [--data FOLDER] [--output docs]

`process` and `parquet` are forks on this machine, with TFRecord or Parquet as the format of the
examples; `spark` and `ray` are clusters of two workers on this machine's processors, which
`make test-beam` installs what they need for. Each run is added to scale.json in the folder of the
output, in place of an earlier one of the same rows and who, and the page is written anew.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import plots

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
STEPS = ("ParquetExampleGen", "StatisticsGen", "Transform")
ROWS_A_FILE = 1_000_000
# So many files are made; more rows are the same ones again.
DIFFERENT_FILES = 10
NAMES = {
    "process": "this machine, TFRecord",
    "parquet": "this machine, Parquet",
    "spark": "Spark, TFRecord",
    "ray": "Ray, TFRecord",
}


def main() -> None:
    """Measure as the command line asks, and write the page after each run."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", default="1000000,10000000", help="numbers of rows, of millions")
    parser.add_argument("--who", default="process,parquet", help="who does the parts")
    parser.add_argument("--repeats", type=int, default=1, help="how often each is measured")
    parser.add_argument("--data", type=Path, help="where generated data is kept")
    parser.add_argument("--output", type=Path, default=ROOT / "docs", help="where the page goes")
    parser.add_argument(
        "--busy", action="store_true", help="the machine does other work: seconds are not shown"
    )
    parser.add_argument("--only-page", action="store_true", help="write the page of what is there")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        who, address, data = options.one
        print(json.dumps(measure(who, address, data)))
        return
    data = options.data or Path(tempfile.gettempdir(), "penstock-scale-data")
    raw = options.output / "scale.json"
    found = json.loads(raw.read_text(encoding="utf-8")) if raw.exists() else []
    if options.only_page:
        write(found, options.output)
        return
    for rows in map(int, options.rows.split(",")):
        folder = rides_in_files(data, rows)
        for who in options.who.split(","):
            found = [m for m in found if (m["rows"], m["who"]) != (rows, who)]
            for _ in range(options.repeats):
                measured = in_own_process(who, folder)
                found.append({"rows": rows, "who": who, "busy": options.busy, **measured})
                print(json.dumps(found[-1]), file=sys.stderr)
                raw.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
                write(found, options.output)


def rides_in_files(data: Path, rows: int) -> Path:
    """Write Parquet files of a million rides each, unless they are there; return their folder."""
    import pyarrow.parquet as pq
    from rides import SEED, rides

    files = -(-rows // ROWS_A_FILE)
    folder, made = data / f"rides-{rows}", data / "files"
    folder.mkdir(parents=True, exist_ok=True)
    made.mkdir(exist_ok=True)
    for number in range(files):
        kept = made / f"{number % DIFFERENT_FILES}.parquet"
        if not kept.exists():
            table = rides(ROWS_A_FILE, SEED + number)
            pq.write_table(table, f"{kept}.part", row_group_size=100_000)
            os.rename(f"{kept}.part", kept)
        target = folder / f"rides-{number:03d}.parquet"
        if not target.exists():
            os.link(kept, target)
    return folder


def in_own_process(who: str, data: Path) -> dict[str, Any]:
    """Measure in a new process, with its cluster where it has one."""
    with cluster_of(who) as address:
        began = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-W", "ignore", __file__, "--one", who, address, str(data)],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        )
        seconds = time.monotonic() - began
    return {
        "cpus": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "seconds": seconds,
        **json.loads(done.stdout.splitlines()[-1]),
    }


@contextmanager
def cluster_of(who: str) -> Iterator[str]:
    """Have the cluster that one measures with, and its address; none has an empty one."""
    if who not in ("spark", "ray"):
        yield ""
        return
    sys.path.insert(0, str(ROOT / "tests" / "support"))
    from penstock_support.clusters import ray_cluster, spark_cluster

    started = {"spark": spark_cluster, "ray": ray_cluster}[who]
    with tempfile.TemporaryDirectory() as folder, started(Path(folder, "cluster")) as cluster:
        options = cluster.options
        yield json.dumps(
            {"master": options.master, "conf": dict(options.conf)}
            if who == "spark"
            else {"address": options.address}
        )


def measure(who: str, address: str, data: str) -> dict[str, Any]:
    """Run the steps for data; return by step its seconds, CPU seconds and peak bytes.

    They are those of the node's process and of those that it has started; workers of a cluster are
    not among them.
    """
    from penstock import LocalRunner, RayOptions, SparkOptions, components, pipeline
    from penstock.data.payload import PayloadFormat
    from penstock.execution.resources import read_resources
    from penstock.metadata.layout import resources_path, run_folder
    from penstock.runners.local.display import Silent

    options = json.loads(address or "{}")
    kind = {"spark": SparkOptions, "ray": RayOptions}.get(who)
    parquet = who == "parquet"
    formats = (PayloadFormat.FORMAT_TF_EXAMPLE, PayloadFormat.FORMAT_PARQUET)

    @pipeline(cluster=kind(**options) if kind else None)
    def rides() -> Any:
        """Rides, looked at and transformed."""
        examples = components.ParquetExampleGen(
            input_base=data, output_data_format=formats[parquet]
        ).outputs["examples"]
        statistics = components.StatisticsGen(examples=examples)
        schema = components.SchemaGen(statistics=statistics.outputs["statistics"])
        return components.Transform(
            examples=examples,
            schema=schema.outputs["schema"],
            module_file=str(HERE / "user_code.py"),
        )

    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as root:
        runner = LocalRunner(
            pipeline_root=root,
            metadata=os.path.join(root, "metadata.sqlite"),
            display=Silent(),
            parallelism=1,
        )
        result = runner.run(rides, cache=False)
        steps = {}
        for step in STEPS:
            taken = read_resources(resources_path(run_folder(root, result.run_id), step))
            assert taken is not None, f"{step} was not measured"
            steps[step] = {
                "seconds": taken.seconds,
                "cpu_seconds": taken.cpu_seconds,
                "peak_memory_bytes": taken.peak_memory_bytes,
            }
        written = sum(p.stat().st_size for p in Path(root).rglob("Split-*/*") if p.is_file())
    return {"steps": steps, "written_bytes": written}


def write(found: list[dict[str, Any]], folder: Path) -> None:
    """Write the page and its pictures."""
    sizes = sorted({m["rows"] for m in found})
    ways = [who for who in NAMES if any(m["who"] == who for m in found)]
    page = [
        "# Scale, measured",
        "",
        "The steps for data of one pipeline, of rides in Parquet files of a million rows and 18",
        "columns each: ParquetExampleGen, StatisticsGen, and a Transform with two vocabularies,",
        "four bucketized columns and three scaled ones. Written by `build/benchmarks/scale.py`;",
        "all that it measured is in [scale.json](scale.json).",
        "",
        f"{found[0]['cpus']} CPUs, Python {found[0]['python']}. A Spark and a Ray have two workers",
        "with a processor each, on the same machine. CPU and memory are those of the node's",
        "process and of those that it has started: with a cluster that is what the driver takes,",
        "without the workers. Where no seconds stand the machine had other work meanwhile.",
        "",
    ]
    for step in STEPS:
        page += [f"## {step}", "", *_table(found, step, sizes, ways), ""]
        image = f"images/scale-{step.lower()}.svg"
        curves = {
            NAMES[who]: [
                (rows, _of(found, rows, who, step, "peak_memory_bytes") / 1e6)
                for rows in sizes
                if _has(found, rows, who)
            ]
            for who in ways
        }
        (folder / image).write_text(
            plots.lines(f"Peak memory of {step}", curves, "rows", "MB"), encoding="utf-8"
        )
        page += [f"![peak memory of {step}, by rows]({image})", ""]
    page += ["## The whole, with imports and start-up", "", *_wholes(found, sizes, ways), ""]
    (folder / "scale-measured.md").write_text("\n".join(page).rstrip() + "\n", encoding="utf-8")


def _table(
    found: list[dict[str, Any]], step: str, sizes: list[int], ways: list[str]
) -> Iterator[str]:
    yield "| rows | by | seconds | rows a second | CPU seconds a million rows | peak memory |"
    yield "|---|---|---|---|---|---|"
    for rows in sizes:
        for who in ways:
            if not _has(found, rows, who):
                continue
            seconds = _of(found, rows, who, step, "seconds")
            cpu = _of(found, rows, who, step, "cpu_seconds")
            memory = _of(found, rows, who, step, "peak_memory_bytes")
            times = (
                f"{seconds:,.1f} | {rows / seconds:,.0f}" if _is_quiet(found, rows, who) else "|"
            )
            yield (
                f"| {rows:,} | {NAMES[who]} | {times} | {cpu / rows * 1e6:.2f} "
                f"| {memory / 1e6:,.0f} MB |"
            )


def _wholes(found: list[dict[str, Any]], sizes: list[int], ways: list[str]) -> Iterator[str]:
    yield "| rows | " + " | ".join(NAMES[who] for who in ways) + " |"
    yield "|---|" + "---|" * len(ways)
    for rows in sizes:
        cells = [
            f"{median(m['seconds'] for m in found if (m['rows'], m['who']) == (rows, who)):,.0f} s"
            if _is_quiet(found, rows, who)
            else ""
            for who in ways
        ]
        if any(cells):
            yield f"| {rows:,} | " + " | ".join(cells) + " |"


def _has(found: list[dict[str, Any]], rows: int, who: str) -> bool:
    return any((m["rows"], m["who"]) == (rows, who) for m in found)


def _is_quiet(found: list[dict[str, Any]], rows: int, who: str) -> bool:
    return any((m["rows"], m["who"], m["busy"]) == (rows, who, False) for m in found)


def _of(found: list[dict[str, Any]], rows: int, who: str, step: str, what: str) -> float:
    return median(m["steps"][step][what] for m in found if (m["rows"], m["who"]) == (rows, who))


if __name__ == "__main__":
    main()
