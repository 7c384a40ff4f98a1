"""Which engine does a node's work: this process, a cluster, or an Apache Beam runner."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from penstock.data.parallel.answers import check_answers
from penstock.data.parallel.choosing import workers_of
from penstock.data.parallel.fetching import Fetch, by_workers
from penstock.data.parallel.workers import Workers
from penstock.project import clusters

_IN_THIS_PROCESS = frozenset({None, "in_memory", "multi_threading"})
_LOCAL_RUNNERS = frozenset(
    {
        "bundlebaseddirectrunner",
        "directrunner",
        "fnapirunner",
        "switchingdirectrunner",
        "testdirectrunner",
    }
)


@dataclass(frozen=True)
class BeamOptions:
    """Command-line arguments of Apache Beam, as `--runner=FlinkRunner`, or the name of a cluster.

    A component's body asks for them with an argument of this type; they come from the node, the
    pipeline or the profile. Without a `--runner` the work is done in process, or its parts are by
    the workers of the cluster that `penstock.project.clusters` finds named.
    """

    args: tuple[str, ...] = ()

    def option(self, name: str) -> str | None:
        """Return the value of an option, the last one if it is given more than once."""
        flag = f"--{name}"
        named = [
            value
            for arg, value in zip(self.args, (*self.args[1:], ""), strict=False)
            if arg == flag
        ]
        named += [arg.partition("=")[2] for arg in self.args if arg.startswith(f"{flag}=")]
        return named[-1] if named else None

    @property
    def runner(self) -> str | None:
        """The Beam runner that is asked for, if any."""
        return None if self.cluster else self.option("runner")

    @property
    def cluster(self) -> clusters.Cluster | None:
        """The Spark or Ray that is asked for, if any."""
        return clusters.cluster_of(self.args)

    def without_beam(self) -> BeamOptions:
        """Return what names the same cluster, and no runner."""
        return BeamOptions(() if self.cluster is None else self.cluster.args)

    def only_cluster(self) -> clusters.Cluster | None:
        """Return the cluster, for a component without a Beam pipeline; say if there is a runner."""
        if self.runner is not None:
            sys.stdout.write(
                f"This component has no pipeline for {self.runner}: its work is done in the node's "
                "process.\n"
            )
        return self.cluster

    def workers(self) -> Workers:
        """Return what does the parts of the work of an engine in process."""
        return workers_of(self.cluster)

    def fetch(self) -> Fetch | None:
        """Return what has workers elsewhere fetch remote files; None where there are none."""
        if self.is_local:
            return by_workers(self.workers())
        from penstock.data.beam.fetching import fetch_by_job

        return partial(fetch_by_job, self.pipeline)

    @property
    def is_local(self) -> bool:
        """Whether Beam works on this machine, in this process or beside it, if it does at all."""
        return self.runner is None or self.runner.rpartition(".")[2].lower() in _LOCAL_RUNNERS

    @property
    def is_in_this_process(self) -> bool:
        """Whether Beam's workers, if it has any, are threads of this process."""
        return self.is_local and self.option("direct_running_mode") in _IN_THIS_PROCESS

    @property
    def in_process(self) -> bool:
        """Whether the libraries' own kernels do the work, without Beam."""
        return self.runner is None

    def engine(self, package: str) -> Any:
        """Import the engine of a component's package.

        An engine is a module of the component's kernel functions. There are two, with the same
        functions and the same results: `in_process` and `on_beam`.
        """
        if flags := self.without_effect():
            sys.stdout.write(f"Without --runner these say nothing: {', '.join(flags)}.\n")
        return importlib.import_module(
            f"{package}.{'in_process' if self.in_process else 'on_beam'}"
        )

    def check(self) -> None:
        """Check that the engine is there, and knows all that it is asked with.

        Raises:
          ParameterError: there is no such runner, or nobody knows an argument.
          PenstockError: nobody answers where a cluster or a job service should.
        """
        if self.cluster is not None:
            check_answers(self.cluster)
        elif self.args and (self.runner or importlib.util.find_spec("apache_beam")):
            from penstock.data.beam import arguments

            arguments.check(clusters.for_beam(self.args))

    def without_effect(self) -> tuple[str, ...]:
        """Return the flags that say something to Beam where none of its runners is named."""
        if not self.in_process:
            return ()
        return tuple(
            arg.partition("=")[0] for arg in clusters.for_beam(self.args) if arg.startswith("--")
        )

    def pipeline(self, progress: Callable[..., None] | None = None) -> Any:
        """Make the `beam.Pipeline` that these options describe; it tells `progress` its rows."""
        from penstock.data.beam.jobs import JobPipeline

        self.check()
        return JobPipeline(
            clusters.for_beam(self.args),
            takes_code=not self.is_in_this_process,
            elsewhere=not self.is_local,
            progress=progress,
        )
