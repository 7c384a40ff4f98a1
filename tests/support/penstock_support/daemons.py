"""Projects with a daemon, and what their runs see around them."""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from pathlib import Path

from penstock import component, pipeline
from penstock_support.processes import wait_until

EDITED = '''
from penstock import component, pipeline


@component
def Says(round: int) -> str:
    """Say what its code says."""
    return "{text}"


@pipeline
def says(round: int = 0):
    return Says(round=round)
'''


@component
def Looks(folder: str) -> str:
    """Return what is around the process, as JSON."""
    mask = os.umask(0)
    os.umask(mask)
    signals = sorted(signal.valid_signals())
    return json.dumps(
        {
            "environment": dict(os.environ),
            "folder": os.getcwd(),
            "mask": mask,
            "files": resource.getrlimit(resource.RLIMIT_NOFILE),
            "core": resource.getrlimit(resource.RLIMIT_CORE),
            "path": sys.path,
            "arguments": sys.argv,
            "main": getattr(sys.modules["__main__"], "__file__", ""),
            "priority": os.getpriority(os.PRIO_PROCESS, 0),
            "ignored": [n for n in signals if signal.getsignal(n) == signal.SIG_IGN],
            "handled": [n for n in signals if callable(signal.getsignal(n))],
            "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
            "input": os.readlink("/proc/self/fd/0"),
            "output": os.readlink("/proc/self/fd/1").rpartition("/")[2],
        }
    )


@pipeline
def looking(folder: str = ""):
    """Look around."""
    return Looks(folder=folder)


@component(preload=("numpy",))
def Draws(folder: str) -> float:
    """Return a random number that nobody has asked to be the same again."""
    import numpy as np

    return float(np.random.random())


@pipeline
def drawing(folder: str = ""):
    """Draw a number."""
    return Draws(folder=folder)


@component(preload=("tensorflow",))
def Trains(folder: str) -> float:
    """Return the loss of a small model after it was trained on more than one thread."""
    import tensorflow as tf

    features = tf.random.stateless_uniform((256, 4), (1, 2))
    data = tf.data.Dataset.from_tensor_slices((features, tf.reduce_sum(features, 1)))
    model = tf.keras.Sequential([tf.keras.layers.Dense(1)])
    model.compile("adam", "mse")
    history = model.fit(data.batch(32).map(lambda x, y: (x, y), tf.data.AUTOTUNE), verbose=0)
    return float(history.history["loss"][0])


@pipeline
def training(folder: str = ""):
    """Train."""
    return Trains(folder=folder)


@component
def Waits(folder: str) -> int:
    """Say that it has begun, and wait until it is told to end."""
    Path(folder, "begun").touch()
    wait_until(Path(folder, "end").exists)
    return 7


@pipeline
def waiting(folder: str = ""):
    """Wait."""
    return Waits(folder=folder)


def children(process_id: int) -> list[int]:
    """Return the processes that a process has started."""
    path = Path(f"/proc/{process_id}/task/{process_id}/children")
    return [int(child) for child in path.read_text().split()] if path.exists() else []


def is_alive(process_id: int) -> bool:
    """Whether a process works, or may yet."""
    try:
        state = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def main() -> None:
    """Run the pipeline that waits, with the daemon of the folder that is named."""
    from penstock import LocalRunner

    folder = sys.argv[1]
    runner = LocalRunner(f"{folder}/killed", f"{folder}/killed.sqlite", daemon=folder)
    runner.run(waiting, parameters={"folder": folder})


if __name__ == "__main__":
    main()
