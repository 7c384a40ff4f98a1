"""Pipelines of a node that is busy, and of one that is killed."""

from __future__ import annotations

import os
import signal
from typing import Any

from penstock import component, pipeline


@component
def Busy(seconds: float = 0.5) -> dict[str, float]:
    """Be busy for some CPU seconds."""
    import time

    while time.process_time() < seconds:
        pass
    return {"seconds": seconds}


@component
def Killed() -> dict[str, float]:
    """Kill the own process, once it has been looked at."""
    import glob
    import time

    from penstock.execution.resources import read_resources

    [path] = glob.glob(os.environ["LOOKED_AT"])
    while len(read_resources(path).samples) < 3:
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGKILL)
    return {}


@pipeline
def busy() -> list[Any]:
    """Be busy."""
    return [Busy()]


@pipeline
def killed() -> list[Any]:
    """Be killed."""
    return [Killed()]
