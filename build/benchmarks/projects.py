"""Projects whose pipelines are measured, as a user runs them: by `penstock run`, cold and warm."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from measurements import Node, Sample
from processes import MeasurementError, Taken, cpu_seconds_of, timed

from penstock.execution.daemon import asking
from penstock.metadata.runs import list_runs
from penstock.metadata.store import connect, connection_config

HERE = Path(__file__).parent
PENSTOCK = (sys.executable, "-m", "penstock")
# Of all that are measured: libraries of TensorFlow tell much, and the daemon is wanted in CI too.
ENVIRONMENT = {"TF_CPP_MIN_LOG_LEVEL": "2", asking.VARIABLE: "on"}


@dataclass(frozen=True)
class Project:
    """A folder with a penstock.toml, the store of its runs, and what runs leave in it."""

    folder: Path
    store: str = ".penstock/metadata.sqlite"
    made: tuple[str, ...] = (".penstock",)

    def penstock(self, *arguments: str) -> None:
        """Run a command that is not measured; it may leave a daemon."""
        subprocess.run(
            [*PENSTOCK, *arguments],
            cwd=self.folder,
            env={**os.environ, **self._environment()},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            check=True,
        )

    def _timed(self, *arguments: str) -> Taken:
        """Run a command; return what it took, with what the daemon has done for it."""
        before = self._daemon_seconds()
        taken = timed([*PENSTOCK, *arguments], self.folder, self._environment())
        return replace(taken, cpu=taken.cpu + self._daemon_seconds() - before)

    def _environment(self) -> dict[str, str]:
        path = os.pathsep.join([str(self.folder), str(HERE), os.environ.get("PYTHONPATH", "")])
        return {**ENVIRONMENT, "PYTHONPATH": path}

    def run(self, pipeline: str, *arguments: str, warm: bool) -> Sample:
        """Run a pipeline with the project's daemon, or without one.

        Raises:
          MeasurementError: it has failed, or has had no copy of the daemon where it was to be warm.
        """
        before = self._lent()
        options = arguments if warm else (*arguments, "--no-daemon")
        taken = self._timed("run", pipeline, *options)
        if (self._lent() > before) != warm:
            kind = "warm" if warm else "cold"
            raise MeasurementError(f"a run of {pipeline} was to be {kind} and was not: see its log")
        return sample(taken, str(self.folder / self.store))

    def anew(self, pipeline: str, *arguments: str, warm: bool) -> Callable[[], Sample]:
        """Return what runs a pipeline as if none had run before."""

        def measure() -> Sample:
            self.clear()
            return self.run(pipeline, *arguments, warm=warm)

        return measure

    def clear(self) -> None:
        """Remove what runs have left."""
        for made in self.made:
            shutil.rmtree(self.folder / made, ignore_errors=True)

    @contextmanager
    def daemon(self, pipeline: str, *arguments: str) -> Iterator[None]:
        """Have a daemon that has imported what a run needs: one that has been warm already."""
        self.penstock("daemon", "start")
        try:
            self.run(pipeline, *arguments, warm=True)
            # It imports what that run has had to; this waits until it has.
            self.penstock("daemon", "start")
            yield
        finally:
            self.penstock("daemon", "stop")

    def _lent(self) -> int:
        status = asking.status_of(str(self.folder))
        return 0 if status is None else status.lent

    def _daemon_seconds(self) -> float:
        """Return the CPU seconds of the daemon and of its copies, when all of these have ended."""
        while (status := asking.status_of(str(self.folder))) is not None and status.under_way:
            time.sleep(0.01)
        return 0.0 if status is None else cpu_seconds_of(status.process_id)


def sample(taken: Taken, store: str) -> Sample:
    """Return what a run took, and what its nodes did as the store has it."""
    with connect(connection_config(store)) as metadata:
        record = list_runs(metadata.store)[0]
    nodes = {
        node.node_id: Node(
            node.measured.get("wall_seconds", node.seconds),
            node.measured.get("cpu_seconds"),
            node.measured.get("peak_memory_bytes"),
        )
        for node in record.nodes
    }
    # A copy of the daemon is no child of the command: its memory is known from its nodes.
    peaks = [node.peak for node in nodes.values() if node.peak is not None]
    return Sample(taken.wall, taken.cpu, max([taken.peak, *peaks]), nodes)
