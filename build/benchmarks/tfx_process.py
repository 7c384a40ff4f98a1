"""The pipeline of `both_pipelines`, in a process of its own, by whoever is measured.

python tfx_process.py define (tfx|penstock) DATA FOLDER
python tfx_process.py run DATA FOLDER

`run` is TFX's, and leaves the CPU seconds of each node in FOLDER/cpu.json: TFX keeps none.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from pathlib import Path
from typing import Any

import both_pipelines


def define(engine: str, data: str, folder: str) -> None:
    """Import what a pipeline needs, build it and compile it to IR."""
    if engine == "tfx":
        from tfx.dsl.compiler.compiler import Compiler

        Compiler().compile(both_pipelines.for_tfx(data, folder, os.path.join(folder, "store")))
    else:
        from penstock import compile_pipeline

        compile_pipeline(both_pipelines.for_penstock(data), pipeline_root=folder)


def run(data: str, folder: str) -> None:
    """Run the pipeline by TFX's LocalDagRunner, with its store in the folder."""
    from tfx import v1 as tfx

    pipeline = both_pipelines.for_tfx(data, folder, os.path.join(folder, "store"))
    taken = count_cpu_seconds()
    tfx.orchestration.LocalDagRunner().run(pipeline)
    Path(folder, "cpu.json").write_text(json.dumps(taken), encoding="utf-8")


def count_cpu_seconds() -> dict[str, float]:
    """Have TFX's launcher note the CPU seconds of each node; return where it does."""
    from tfx.orchestration.portable import launcher

    taken: dict[str, float] = {}

    class Counting(launcher.Launcher):  # type: ignore[misc]
        def launch(self) -> Any:
            before = _cpu_seconds()
            result = super().launch()
            taken[self._pipeline_node.node_info.id] = _cpu_seconds() - before
            return result

    launcher.Launcher = Counting
    return taken


def _cpu_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


if __name__ == "__main__":
    {"define": define, "run": run}[sys.argv[1]](*sys.argv[2:])
