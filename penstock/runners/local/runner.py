"""Runs a pipeline on this machine: independent nodes at the same time, each in its own process."""

from __future__ import annotations

import os
import secrets
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from multiprocessing.connection import wait
from typing import Any

from penstock import ir
from penstock.errors import PenstockError, StoreError
from penstock.execution import nodes as execution
from penstock.execution import preconditions, work
from penstock.metadata.runs import record_parameters
from penstock.metadata.store import connect, connection_config
from penstock.runners.local import failures
from penstock.runners.local.display import Display, NodeView, default_display
from penstock.runners.local.result import NodeResult, RunFailed, RunResult
from penstock.runners.local.schedule import State, read_graph, ready, settle
from penstock.runners.local.workers import (
    Advanced,
    Failed,
    Job,
    Nursery,
    Report,
    Started,
    Succeeded,
)
from penstock.secrets import resolve_address

DEFAULT_FOLDER = ".penstock"
_GRACE_SECONDS = 10.0


@dataclass(frozen=True)
class LocalRunner:
    """Runs pipelines on this machine.

    `pipeline_root` and `metadata` (the address of an ML Metadata store) are for pipelines that do
    not bring their own; without them all is kept below `.penstock` in the current folder.
    `parallelism` is how many nodes work at the same time: as many as there are CPUs by default.
    `beam_args` are for nodes that can use Beam. `display` shows the run as it goes.
    """

    pipeline_root: str | None = None
    metadata: str | None = None
    parallelism: int | None = None
    beam_args: tuple[str, ...] = ()
    display: Display | None = None

    def run(
        self,
        pipeline: Any,
        *,
        parameters: Mapping[str, Any] | None = None,
        cache: bool = True,
        raise_on_failure: bool = True,
    ) -> RunResult:
        """Run a pipeline: one of ours, a TFX `Pipeline`, or IR.

        `cache=False` runs every node, whatever earlier runs have made.

        Raises:
          RunFailed: a node failed or the run was canceled, unless `raise_on_failure` is false.
          PenstockError: the pipeline, its parameters or the store cannot be used.
        """
        compiled, connection = self._compile(pipeline)
        values = ir.effective_parameters(compiled, parameters or {})
        run_id = new_run_id()
        bound = ir.bind(compiled, run_id=run_id, parameters=values)
        if not cache:
            for node in ir.nodes(bound):
                node.execution_options.caching_options.enable_cache = False
        preconditions.check(bound)
        with connect(connection) as metadata, _counted_interrupts() as interrupts:
            running = _Run(
                bound,
                metadata,
                connection,
                run_id,
                interrupts,
                parallelism=self.parallelism or len(os.sched_getaffinity(0)),
                display=self.display or default_display(),
            )
            result = running.run(values)
        if raise_on_failure and not result.succeeded:
            raise RunFailed(result)
        return result

    def _compile(self, pipeline: Any) -> tuple[Any, Any]:
        name = getattr(pipeline, "name", "pipeline")
        root = os.path.abspath(self.pipeline_root or os.path.join(DEFAULT_FOLDER, name))
        default = os.path.join(DEFAULT_FOLDER, "metadata.sqlite")
        address = resolve_address(self.metadata or default)
        compiled = ir.compile_pipeline(pipeline, pipeline_root=root, beam_args=self.beam_args)
        own = ir.metadata_connection(compiled)
        if own is not None and self.metadata is None:
            return compiled, own
        return compiled, connection_config(address)


def new_run_id() -> str:
    """Return a run's name: the time, so that names sort, and a part that makes it unique."""
    return f"{datetime.now():%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"


@dataclass
class _Interrupts:
    """How often the run was asked to end, by Ctrl-C or SIGTERM."""

    count: int = 0


@contextmanager
def _counted_interrupts() -> Iterator[_Interrupts]:
    """Count interrupts in place of raising them: bookkeeping must not be cut in two."""
    interrupts = _Interrupts()
    if threading.current_thread() is not threading.main_thread():
        yield interrupts
        return

    def count(*_: object) -> None:
        interrupts.count += 1

    previous = {number: signal.signal(number, count) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield interrupts
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@dataclass
class _Work:
    """A node in the hands of a worker."""

    prepared: execution.Prepared
    job: Job
    nursery: Nursery
    started: bool = False

    @property
    def token(self) -> str:
        """The worker's name: a node's driver and its executor are different workers."""
        return f"{self.job.kind} {self.prepared.node_id}"


@dataclass
class _Run:
    """A run under way."""

    pipeline: Any
    metadata: Any
    connection: Any
    run_id: str
    interrupts: _Interrupts
    parallelism: int
    display: Display
    nurseries: dict[tuple[str, ...], Nursery] = field(default_factory=dict)
    working: dict[str, _Work] = field(default_factory=dict)
    views: dict[str, NodeView] = field(default_factory=dict)
    results: dict[str, NodeResult] = field(default_factory=dict)
    canceling: bool = False

    def run(self, parameters: Mapping[str, Any]) -> RunResult:
        began = time.monotonic()
        name = self.pipeline.pipeline_info.id
        self.graph = read_graph(self.pipeline)
        self.nodes = {node.node_info.id: node for node in ir.nodes(self.pipeline)}
        self.views = {node_id: NodeView(node_id) for node_id in self.nodes}
        self.log_folder = os.path.join(
            self.pipeline.runtime_spec.pipeline_root.field_value.string_value,
            ".runs",
            self.run_id,
        )
        try:
            os.makedirs(self.log_folder, exist_ok=True)
        except OSError as error:
            raise failures.storage_error(error, self.log_folder) or error from error
        self.preload = self._preload()
        record_parameters(self.metadata, self.pipeline, parameters)
        self.display.start(f"{name}  run {self.run_id}", self.views)
        try:
            self._loop()
        finally:
            # Only an error of ours leaves work behind here.
            for node_id, held in self.working.items():
                self._give_up(node_id, held.prepared, State.CANCELED, "the run ended in an error")
            self.display.stop()
            for nursery in self.nurseries.values():
                nursery.close()
        states = {view.state for view in self.views.values()}
        state = State.DONE
        if State.CANCELED in states or self.canceling:
            state = State.CANCELED
        elif State.FAILED in states:
            state = State.FAILED
        return RunResult(
            self.run_id,
            name,
            state,
            dict(parameters),
            {node_id: self._result(node_id) for node_id in self.nodes},
            time.monotonic() - began,
        )

    def _result(self, node_id: str) -> NodeResult:
        known = self.results.get(node_id)
        return known or NodeResult(
            node_id, self.views[node_id].state, error=self.views[node_id].note
        )

    def _preload(self) -> tuple[str, ...]:
        """Return the heavy modules that the pipeline's nodes will import, TensorFlow first."""
        found: list[str] = []
        for node_id in self.nodes:
            path = ir.class_path(ir.executor_spec(self.pipeline, node_id))
            found += [module for module in work.preloads(path) if module not in found]
        return tuple(sorted(found, key=lambda module: module != "tensorflow"))

    def _nursery(self, preload: tuple[str, ...]) -> Nursery:
        if preload not in self.nurseries:
            log = os.path.join(self.log_folder, ".workers.log")
            self.nurseries[preload] = Nursery(preload, log)
        return self.nurseries[preload]

    def _loop(self) -> None:
        while True:
            if self.interrupts.count and not self.canceling:
                self._cancel()
            if not self.canceling:
                self._start_ready()
            if not self.working:
                break
            self._receive(timeout=0.2)
            self.display.refresh()
        for node_id, view in self.views.items():
            if view.state is State.WAITING:
                self._settle(node_id, State.SKIPPED, error="the run was canceled")

    def _states(self) -> dict[str, State]:
        return {node_id: view.state for node_id, view in self.views.items()}

    def _start_ready(self) -> None:
        progress = True
        while progress:
            progress = False
            for node_id, reason in settle(self.graph, self._states()).items():
                self._settle(node_id, State.SKIPPED, error=reason)
            for node_id in ready(self.graph, self._states()):
                if len(self.working) >= self.parallelism:
                    return
                self._start(node_id)
                progress = True

    def _start(self, node_id: str) -> None:
        view = self.views[node_id]
        view.state, view.began = State.RUNNING, time.monotonic()
        outcome: Any = None
        try:
            outcome = execution.prepare(self.metadata, self.pipeline, self.nodes[node_id])
            if isinstance(outcome, execution.Prepared) and outcome.driver is None:
                outcome = execution.look_up(self.metadata, outcome)
        except (PenstockError, OSError) as error:
            self._fail(node_id, outcome, error)
            return
        if isinstance(outcome, execution.Skipped):
            self._settle(node_id, State.SKIPPED, error=outcome.reason)
        elif isinstance(outcome, execution.Finished):
            self._finish(node_id, outcome)
        else:
            self._submit(node_id, outcome, "driver" if outcome.driver is not None else "executor")
            self.display.changed(view)

    def _submit(self, node_id: str, prepared: execution.Prepared, kind: str) -> None:
        spec = prepared.driver if kind == "driver" else prepared.executor
        needs = work.preloads(ir.class_path(spec))
        job = Job(
            kind,
            prepared.invocation(),
            spec,
            os.path.join(self.log_folder, f"{node_id}.log"),
            self.connection if kind == "driver" else None,
            needs,
        )
        if self.preload and kind == "executor":
            # Something has changed, so nodes behind it will run too: let them find their modules.
            self._nursery(self.preload)
        nursery = self._nursery(self.preload if needs else ())
        self.working[node_id] = _Work(prepared, job, nursery)
        self.views[node_id].note = "loading libraries" if needs else ""
        nursery.submit(self.working[node_id].token, job)

    def _receive(self, timeout: float) -> None:
        by_connection = {n.connection: n for n in self.nurseries.values()}
        for source in wait(list(by_connection), timeout):
            nursery = by_connection[source]  # type: ignore[index]
            try:
                reports = nursery.receive()
            except (EOFError, OSError):
                self._nursery_died(nursery)
                continue
            for token, report in reports:
                for node_id, held in list(self.working.items()):
                    # None has the token when a worker ends after its result.
                    if held.token == token:
                        self._handle(node_id, report)

    def _nursery_died(self, nursery: Nursery) -> None:
        for preload, known in list(self.nurseries.items()):
            if known is nursery:
                del self.nurseries[preload]
        for node_id, held in list(self.working.items()):
            if held.nursery is nursery:
                self._handle(node_id, Failed("the process that starts its workers was killed"))

    def _handle(self, node_id: str, report: Report) -> None:
        held = self.working[node_id]
        view = self.views[node_id]
        if isinstance(report, Started):
            held.started = True
            view.began, view.note = time.monotonic(), ""
            return
        if isinstance(report, Advanced):
            view.counts.update(report.counts)
            return
        del self.working[node_id]
        if self.canceling:
            self._give_up(node_id, held.prepared, State.CANCELED, "the run was canceled")
        elif isinstance(report, Failed):
            message = report.message or "it ended without a result"
            if report.crashed and (lines := failures.last_lines(held.job.log_path)):
                message += f". The end of its log: {lines}"
            self._give_up(node_id, held.prepared, State.FAILED, message)
        elif held.job.kind == "driver":
            self._after_driver(node_id, held, report)
        else:
            self._publish(node_id, held, report)

    def _after_driver(self, node_id: str, held: _Work, report: Succeeded) -> None:
        prepared = execution.apply_driver(held.prepared, report.result)
        try:
            outcome = execution.look_up(self.metadata, prepared)
        except (PenstockError, OSError) as error:
            self._fail(node_id, prepared, error)
            return
        if isinstance(outcome, execution.Finished):
            self._finish(node_id, outcome)
        else:
            self._submit(node_id, outcome, "executor")

    def _publish(self, node_id: str, held: _Work, report: Succeeded) -> None:
        try:
            finished = execution.publish(
                self.metadata, held.prepared, report.result, report.measured
            )
        except StoreError:
            raise
        except (PenstockError, OSError) as error:
            self._fail(node_id, held.prepared, error)
            return
        self._finish(node_id, finished)

    def _fail(self, node_id: str, outcome: Any, error: Exception) -> None:
        """Give up a node for an error in this process, as far as it is registered."""
        message = failures.describe(error, self.log_folder)
        if isinstance(outcome, execution.Prepared):
            self._give_up(node_id, outcome, State.FAILED, message)
        else:
            self._settle(node_id, State.FAILED, error=message)

    def _give_up(
        self, node_id: str, prepared: execution.Prepared, state: State, error: str
    ) -> None:
        recorded = execution.CANCELED if state is State.CANCELED else execution.FAILED
        execution.give_up(self.metadata, prepared, recorded, error)
        self._settle(node_id, state, execution_id=prepared.execution_id, error=error)

    def _finish(self, node_id: str, finished: execution.Finished) -> None:
        self._settle(
            node_id,
            State.CACHED if finished.cached else State.DONE,
            execution_id=finished.execution_id,
            outputs=finished.outputs,
        )

    def _settle(
        self,
        node_id: str,
        state: State,
        *,
        execution_id: int | None = None,
        outputs: Mapping[str, list[Any]] | None = None,
        error: str = "",
    ) -> None:
        view = self.views[node_id]
        view.state, view.seconds = state, view.elapsed()
        view.note = error if state is State.SKIPPED else error.partition("\n")[0]
        log = os.path.join(self.log_folder, f"{node_id}.log")
        self.results[node_id] = NodeResult(
            node_id,
            state,
            execution_id,
            outputs or {},
            view.seconds,
            error,
            log if os.path.exists(log) else None,
        )
        self.display.changed(view)

    def _cancel(self) -> None:
        """Stop all workers: politely at first, for good when asked again or after a while."""
        self.canceling = True
        asked = self.interrupts.count
        deadline = time.monotonic() + _GRACE_SECONDS
        for node_id, held in list(self.working.items()):
            if held.started:
                held.nursery.stop(held.token, signal.SIGTERM)
            else:
                del self.working[node_id]
                self._give_up(node_id, held.prepared, State.CANCELED, "the run was canceled")
        while self.working and time.monotonic() < deadline and self.interrupts.count == asked:
            self._receive(timeout=0.2)
            self.display.refresh()
        for held in self.working.values():
            held.nursery.stop(held.token, signal.SIGKILL)
