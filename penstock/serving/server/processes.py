"""Processes that a server starts: each inherits one end of a socket pair, and no folder."""

from __future__ import annotations

import socket
import subprocess
import sys

from penstock.project import keras


def spawn(module: str, channel: socket.socket) -> subprocess.Popen[bytes]:
    """Start a module as a process that knows neither this one's folder nor its PYTHONPATH."""
    environment = {
        name: value
        for name, value in keras.child_environment().items()
        if name not in ("PYTHONPATH", "PYTHONSTARTUP")
    }
    # What a framework says of the machine, and of its own future, is not the operator's business.
    environment.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    environment.setdefault("PYTHONWARNINGS", "ignore")
    # A few rows are answered sooner by one thread than by many that wait for each other.
    environment.setdefault("OMP_NUM_THREADS", "1")
    descriptor = channel.fileno()
    return subprocess.Popen(
        [sys.executable, "-P", "-m", module, str(descriptor)],
        cwd="/",
        env=environment,
        stdin=subprocess.DEVNULL,
        pass_fds=(descriptor,),
        start_new_session=True,
    )
