"""One measurement, in a process of its own: what it prints last is JSON.

python measure.py (define|run) (tfx|penstock) DATA FOLDER
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from typing import Any


def define(engine: str, data: str, folder: str) -> None:
    """Import what a pipeline needs, build it and compile it to IR."""
    import both_pipelines

    if engine == "tfx":
        from tfx.dsl.compiler.compiler import Compiler

        Compiler().compile(both_pipelines.for_tfx(data, folder, os.path.join(folder, "store")))
    else:
        from penstock import compile_pipeline

        compile_pipeline(both_pipelines.for_penstock(data), pipeline_root=folder)


def run(engine: str, data: str, folder: str) -> tuple[dict[str, float], dict[str, float]]:
    """Run the pipeline; return seconds and, where they are known, peak bytes by node."""
    import both_pipelines

    if engine == "tfx":
        from tfx import v1 as tfx

        pipeline = both_pipelines.for_tfx(data, folder, os.path.join(folder, "store"))
        tfx.orchestration.LocalDagRunner().run(pipeline)
        return _recorded_times(os.path.join(folder, "store")), {}
    from penstock import LocalRunner

    runner = LocalRunner(pipeline_root=folder, metadata=os.path.join(folder, "store"))
    runner.run(both_pipelines.for_penstock(data), cache=False)
    measured = {node.node_id: node.measured for node in _nodes(os.path.join(folder, "store"))}
    # The work itself: a node that waits for TensorFlow's import does so beside others, and TFX has
    # imported everything before its first node. The whole has all of that, for both.
    seconds = {name: found["wall_seconds"] for name, found in measured.items()}
    return seconds, {name: found["peak_memory_bytes"] for name, found in measured.items()}


def _recorded_times(store: str) -> dict[str, float]:
    return {node.node_id: node.seconds for node in _nodes(store)}


def _nodes(store: str) -> Any:
    from penstock.metadata.runs import list_runs
    from penstock.metadata.store import connect, connection_config

    with connect(connection_config(store)) as metadata:
        [record] = list_runs(metadata.store)
    return record.nodes


def main() -> None:
    """Measure what the command line asks for."""
    what, engine, data, folder = sys.argv[1:]
    began = time.monotonic()
    seconds: dict[str, float] = {}
    memory: dict[str, float] = {}
    if what == "define":
        define(engine, data, folder)
    else:
        seconds, memory = run(engine, data, folder)
    whole = time.monotonic() - began
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    peak = max([u.ru_maxrss * 1024 for u in used] + list(memory.values()))
    print(json.dumps({"seconds": whole, "nodes": seconds, "memory": memory, "peak": peak}))


if __name__ == "__main__":
    main()
