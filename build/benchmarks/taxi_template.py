"""TFX's taxi template, all components on, by three runners; writes the table of docs/from-tfx.md.

    python build/benchmarks/taxi_template.py --rows 10000,500000

The pipeline is TFX's own and stays as it is; what differs is who runs it: TFX's LocalDagRunner, our
LocalRunner with TFX's executors, and our LocalRunner with the engines that take their place.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rides import write_rides

HERE = Path(__file__)
PAGE = HERE.parents[2] / "docs" / "from-tfx.md"
BEGIN, END = "<!-- measured: taxi template -->", "<!-- end of measured: taxi template -->"
RUNNERS = {
    "tfx": "TFX's `LocalDagRunner`",
    "plain": "`LocalRunner(accelerate=False)`",
    "accelerated": "`LocalRunner()`",
}
TRAIN_STEPS = 1000
_TAXI = "tfx.experimental.templates.taxi"
MODELS = f"{_TAXI}.models"


def pipeline(data: str, folder: str, models: str = MODELS, *, cache: bool = False) -> Any:
    """Return the template's pipeline with the lines in use that it has its users uncomment.

    `models` is the package of the user's code; with `cache` what has not changed is not run again.
    """
    from tfx import v1 as tfx

    spec = importlib.util.find_spec(f"{_TAXI}.pipeline.pipeline")
    assert spec is not None, "the template comes with TFX"
    assert spec.origin is not None, "it is a file"
    text = Path(spec.origin).read_text(encoding="utf-8")
    names: dict[str, Any] = {"__name__": f"{_TAXI}.pipeline.pipeline"}
    text = text.replace("# components.append(", "components.append(")
    if cache:
        assert "# enable_cache=True" in text, "it is a line that users uncomment"
        text = text.replace("# enable_cache=True", "enable_cache=True")
    exec(compile(text, spec.origin, "exec"), names)
    return names["create_pipeline"](
        pipeline_name="taxi",
        pipeline_root=os.path.join(folder, "root"),
        data_path=data,
        preprocessing_fn=f"{models}.preprocessing.preprocessing_fn",
        run_fn=f"{models}.keras_model.model.run_fn",
        train_args=tfx.proto.TrainArgs(num_steps=TRAIN_STEPS),
        eval_args=tfx.proto.EvalArgs(num_steps=150),
        eval_accuracy_threshold=0.1,
        serving_model_dir=os.path.join(folder, "serving"),
        metadata_connection_config=tfx.orchestration.metadata.sqlite_metadata_connection_config(
            os.path.join(folder, "metadata.sqlite")
        ),
    )


def run(runner: str, data: str, folder: str) -> None:
    """Run the template as a user's script does."""
    made = pipeline(data, folder)
    if runner == "tfx":
        from tfx import v1 as tfx

        tfx.orchestration.LocalDagRunner().run(made)
        return
    from penstock import LocalRunner

    LocalRunner(accelerate=runner == "accelerated").run(made)


def measure(runner: str, data: Path) -> dict[str, float]:
    """Return the seconds of a process and of all that it starts: by the clock, and of CPU."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "log.txt")
        command = [sys.executable, "-W", "ignore", str(HERE), "--run", runner, str(data), folder]
        began = time.monotonic()
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                stdout=output,
                stderr=output,
                env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"},
            )
            _, status, used = os.wait4(process.pid, 0)
        seconds = time.monotonic() - began
        if status:
            sys.exit(f"{runner}:\n{log.read_text(errors='replace')[-3000:]}")
        nodes = _work(os.path.join(folder, "metadata.sqlite"))
    return {"wall": seconds, "cpu": used.ru_utime + used.ru_stime, "nodes": nodes}


def _work(store: str) -> dict[str, float]:
    from penstock.metadata.runs import list_runs
    from penstock.metadata.store import connect, connection_config

    with connect(connection_config(store)) as metadata:
        [record] = list_runs(metadata.store)
    return {n.node_id: n.measured.get("wall_seconds", n.seconds) for n in record.nodes}


def table(found: Iterable[dict[str, Any]]) -> str:
    """Return the medians of all measurements as a table."""
    found = list(found)
    rows = sorted({one["rows"] for one in found})
    lines = [
        "| CPU / wall seconds | " + " | ".join(f"{count:,} rows" for count in rows) + " |",
        "|---" * (len(rows) + 1) + "|",
    ]
    for runner, title in RUNNERS.items():
        cells = []
        for count in rows:
            of_both = [o for o in found if (o["runner"], o["rows"]) == (runner, count)]
            cpu, wall = (statistics.median(o[key] for o in of_both) for key in ("cpu", "wall"))
            cells.append(f"{cpu:.1f} / {wall:.1f}")
        lines.append(f"| {title} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Measure as the command line asks, and write the table into its page."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", default="10000,500000", help="numbers of rows")
    parser.add_argument("--repeats", type=int, default=1, help="how often each is measured")
    parser.add_argument("--data", type=Path, help="where generated data is kept")
    parser.add_argument("--run", nargs=3, metavar=("RUNNER", "DATA", "FOLDER"))
    options = parser.parse_args()
    if options.run:
        run(*options.run)
        return
    data = options.data or Path(tempfile.gettempdir(), "penstock-benchmark-data")
    found = []
    for _ in range(options.repeats):
        for count in map(int, options.rows.split(",")):
            source = write_rides(data, count)
            for runner in RUNNERS:
                found.append({"runner": runner, "rows": count, **measure(runner, source)})
                print(json.dumps(found[-1]), file=sys.stderr, flush=True)
    page = PAGE.read_text(encoding="utf-8")
    before, rest = page.split(BEGIN)
    after = rest.split(END)[1]
    PAGE.write_text(f"{before}{BEGIN}\n\n{table(found)}\n\n{END}{after}", encoding="utf-8")
    print(table(found))


if __name__ == "__main__":
    main()
