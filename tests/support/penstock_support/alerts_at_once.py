"""Processes that judge or deliver at the same moment: `alerts_at_once.py WHAT ADDRESS FOLDER`.

They are forked by a process of their own: one that has spoken gRPC must not be forked.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from penstock.metadata.store import connect, connection_config
from penstock.operations.alerts.judging import judge
from penstock.testing import FakeSink
from penstock_support.delivering import Post
from penstock_support.judging import NOW, report
from penstock_support.processes import Family, at_once

HOW_MANY = 4


def judge_at_once(address: str) -> None:
    """Let several judge windows of their own, of which all are alarms."""
    _run("judge", address, "")


def deliver_at_once(address: str, folder: Path) -> None:
    """Let several deliver to a double of a sink that keeps what it is told in a folder."""
    _run("deliver", address, str(folder))


def _run(*arguments: str) -> None:
    process = Family(__file__, arguments).start()
    try:
        _, said = process.communicate(timeout=120)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    assert process.returncode == 0, said


def _judge(number: int, address: str, _: str, start: Any, results: Any) -> None:
    with connect(connection_config(address)) as metadata:
        start.wait()
        for each in range(3):
            seen = report(HOW_MANY * each + number, x="a")
            judge(metadata.store, "flights", {}, seen, NOW, who=str(number))
    results.put(number)


def _deliver(number: int, address: str, folder: str, start: Any, results: Any) -> None:
    post = Post(address)
    post.fake = FakeSink(Path(folder))
    start.wait()
    post.deliver()
    results.put(number)


def main() -> None:
    what, address, folder = sys.argv[1:]
    target = _judge if what == "judge" else _deliver
    print(json.dumps(at_once(target, HOW_MANY, address, folder)))


if __name__ == "__main__":
    main()
