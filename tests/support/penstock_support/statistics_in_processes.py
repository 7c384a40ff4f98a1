"""Computes statistics as a worker of a run does: in a fork of a process that imported TFDV.

Its argument is JSON: a list of jobs, each with its `cpus` and the arguments of
`generate_statistics`. It prints what became of each.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any


def run(job: dict[str, Any]) -> dict[str, Any]:
    """Do a job in a process of its own, however small its files are."""
    import tensorflow_data_validation  # noqa: F401

    from penstock.components.statistics_gen import in_process

    connection, far_end = os.pipe()
    child = os.fork()
    if not child:
        in_process.LARGE_BYTES, in_process.PART_BYTES = 0, 1
        os.sched_getaffinity = lambda _: set(range(job["cpus"]))
        seen: list[int] = []
        told: dict[str, Any] = {}
        try:
            in_process.generate_statistics(
                **job["arguments"], progress=lambda rows: seen.append(rows)
            )
        except Exception as error:
            told["error"] = [type(error).__name__, str(error)]
        children = os.times().children_user > 0
        os.write(far_end, json.dumps({**told, "rows": seen[-1:], "forked": children}).encode())
        os._exit(0)
    os.close(far_end)
    with open(connection) as report:
        found: dict[str, Any] = json.load(report)
    os.waitpid(child, 0)
    return found


if __name__ == "__main__":
    print(json.dumps([run(job) for job in json.loads(sys.argv[1])]))
