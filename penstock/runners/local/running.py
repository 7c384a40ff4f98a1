"""A run under way: which node is in whose hands, and what has become of the others."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from typing import Any

from penstock import ir
from penstock.errors import PenstockError, RunError, StoreError
from penstock.execution import nodes as execution
from penstock.execution import work
from penstock.execution.logs import last_lines, log_folder
from penstock.execution.schedule import Graph, State, ready, settle
from penstock.execution.steps import OnStep, Step, ignore
from penstock.execution.workers import failures
from penstock.execution.workers.interrupts import Interrupts
from penstock.execution.workers.nursery import (
    Advanced,
    Failed,
    Job,
    Nurseries,
    Nursery,
    Report,
    Started,
    Succeeded,
    main_is_importable,
)
from penstock.ir import selection
from penstock.metadata import attempts
from penstock.openlineage import RunEvents
from penstock.runners.local.display import Display, NodeView
from penstock.runners.local.result import NodeResult, RunResult

_GRACE_SECONDS = 10.0


@dataclass
class _Work:
    """A node in the hands of a worker."""

    prepared: execution.Prepared
    job: Job
    nursery: Nursery
    started: bool = False
    deadline: float | None = None
    timed_out: bool = False

    @property
    def token(self) -> str:
        """The worker's name, new for a driver, an executor and each time that they are tried."""
        return f"{self.job.kind} {self.prepared.node_id} {self.prepared.execution_id}"


@dataclass
class Run:
    """A run under way."""

    pipeline: Any
    graph: Graph
    metadata: Any
    connection: Any
    run_id: str
    attempt: attempts.Attempt
    interrupts: Interrupts
    parallelism: int
    display: Display
    base_run: str | None = None
    on_step: OnStep = ignore
    events: RunEvents | None = None
    nurseries: Nurseries = field(default_factory=Nurseries)
    working: dict[str, _Work] = field(default_factory=dict)
    views: dict[str, NodeView] = field(default_factory=dict)
    results: dict[str, NodeResult] = field(default_factory=dict)
    retries: dict[str, int] = field(default_factory=dict)
    renewed: float = 0.0
    leased_until: float = 0.0
    canceling: bool = False

    def run(self, parameters: Mapping[str, Any], *, resumed: bool = False) -> RunResult:
        """Run to the end; `resumed` takes over what the run has done already."""
        began = time.monotonic()
        name = self.pipeline.pipeline_info.id
        self.nodes = {node.node_info.id: node for node in ir.nodes(self.pipeline)}
        self.views = {node_id: NodeView(node_id) for node_id in self.nodes}
        self.root = self.pipeline.runtime_spec.pipeline_root.field_value.string_value
        self.log_folder = log_folder(self.root, self.run_id)
        try:
            os.makedirs(self.log_folder, exist_ok=True)
        except OSError as error:
            raise failures.storage_error(error, self.root) or error from error
        self.renewed, self.leased_until = time.time(), self.attempt.until
        title = f"{name}  run {self.run_id}{'  resumed' if resumed else ''}"
        self.display.start(title, self.views)
        try:
            if resumed:
                self._take_over()
            if self.events is not None:
                number = self.attempt.number
                self.events.run_started(self.run_id, name, parameters, attempt=number)
            self._settle_left_out()
            self.preload = self._preload()
            self._loop()
        finally:
            # Workers end first: only an error leaves some here, and they would go on writing.
            if self.working or not self.nurseries.lasting:
                self.nurseries.close()
            for node_id, held in self.working.items():
                self._settle(
                    node_id,
                    State.CANCELED,
                    execution_id=held.prepared.execution_id,
                    error="the run ended in an error",
                )
            self.display.stop()
        return RunResult(
            self.run_id,
            name,
            self._state(),
            dict(parameters),
            {node_id: self._result(node_id) for node_id in self.nodes},
            time.monotonic() - began,
        )

    def _state(self) -> State:
        states = {
            view.state
            for node_id, view in self.views.items()
            if not (view.state is State.FAILED and self._options(node_id).node_success_optional)
        }
        if State.CANCELED in states or self.canceling:
            return State.CANCELED
        return State.FAILED if State.FAILED in states else State.DONE

    def _options(self, node_id: str) -> Any:
        return self.nodes[node_id].execution_options

    def _take_over(self) -> None:
        """Settle the nodes that this run has done before it was interrupted."""
        for node_id, node in self.nodes.items():
            finished = execution.finished_in_run(
                self.metadata.store, self.pipeline, node, self.run_id
            )
            if finished is not None:
                self._finish(node_id, finished, note="before the interruption")

    def _settle_left_out(self) -> None:
        """Settle the nodes that do not run; those whose outputs others need lend them."""
        for node_id, node in self.nodes.items():
            if self.views[node_id].state.final or not selection.is_left_out(node):
                continue
            if not selection.lends(node):
                self._settle(node_id, State.SKIPPED, error="it was not asked for")
                continue
            finished = execution.reuse(self.metadata, self.pipeline, node, self.base_run)
            self._finish(node_id, finished, note="reused")

    def _result(self, node_id: str) -> NodeResult:
        known = self.results.get(node_id)
        return known or NodeResult(
            node_id, self.views[node_id].state, error=self.views[node_id].note
        )

    def _preload(self) -> tuple[str, ...]:
        """Return the heavy modules that the pipeline's nodes will import, TensorFlow first."""
        found: list[str] = []
        for node_id in self.graph.upstream:
            if self.views[node_id].state.final:
                continue
            path = ir.class_path(ir.executor_spec(self.pipeline, node_id))
            found += [module for module in work.preloads(path) if module not in found]
        return tuple(sorted(found, key=lambda module: module != "tensorflow"))

    def _nursery(self, preload: tuple[str, ...]) -> Nursery:
        log = os.path.join(self.log_folder, ".workers.log")
        return self.nurseries.get(preload, log, fork=self._forks())

    def _forks(self) -> bool:
        """Whether workers must be copies of this process, the only one that has what they run."""
        if main_is_importable():
            return False
        paths = [
            ir.class_path(spec(self.pipeline, node_id)) or ""
            for node_id in self.nodes
            for spec in (ir.executor_spec, ir.driver_spec)
        ]
        of_steps = getattr(self.on_step, "__module__", "")
        return of_steps == "__main__" or any(path.startswith("__main__.") for path in paths)

    def _loop(self) -> None:
        while True:
            if self.interrupts.count and not self.canceling:
                self._cancel()
            self._renew()
            self._stop_overdue()
            if not self.canceling:
                self._start_ready()
            if not self.working:
                break
            self._receive(timeout=0.2)
            self.display.refresh()
        for node_id, view in self.views.items():
            if view.state is State.WAITING:
                self._settle(node_id, State.SKIPPED, error="the run was canceled")

    def _renew(self) -> None:
        """Say that the run is alive; end it if somebody has taken it for dead meanwhile."""
        # Others look at the time of day, which also goes on while a machine sleeps.
        if self.canceling or abs(time.time() - self.renewed) < attempts.RENEWAL_SECONDS:
            return
        self.renewed = time.time()
        try:
            renewed = attempts.renew(self.metadata.store, self.attempt)
        except StoreError:
            # What keeps the store from writing may pass, as a disk that a node fills until it ends.
            if time.time() > self.leased_until:
                raise
            return
        self.leased_until = self.renewed + attempts.TERM_SECONDS
        if not renewed:
            self._cancel()
            raise RunError(
                f"run {self.run_id} was taken for abandoned while this process was not heard of",
                hint=f"Go on with it: penstock resume {self.run_id}",
            )

    def _stop_overdue(self) -> None:
        now = time.monotonic()
        for held in self.working.values():
            if held.deadline is None or now < held.deadline:
                continue
            number = signal.SIGKILL if held.timed_out else signal.SIGTERM
            held.timed_out, held.deadline = True, now + _GRACE_SECONDS
            held.nursery.stop(held.token, number)

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
            outcome = execution.prepare(
                self.metadata, self.pipeline, self.nodes[node_id], self.on_step
            )
            self._tell_started(node_id, outcome)
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

    def _tell_started(self, node_id: str, outcome: Any) -> None:
        if self.events is None:
            return
        if isinstance(outcome, execution.Finished):
            # What an importer or a resolver gives out was there before.
            self.events.node_started(
                node_id, execution_id=outcome.execution_id, inputs=outcome.outputs
            )
        elif isinstance(outcome, execution.Prepared):
            self.events.node_started(
                node_id,
                execution_id=outcome.execution_id,
                inputs=outcome.info.input_dict,
                parameters=outcome.info.exec_properties,
                code=outcome.fingerprint.code,
            )

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
            node_id,
            self.on_step,
            self.root,
        )
        if self.preload and kind == "executor":
            # Something has changed, so nodes behind it will run too: let them find their modules.
            self._nursery(self.preload)
        nursery = self._nursery(self.preload if needs else ())
        self.working[node_id] = _Work(prepared, job, nursery)
        self.views[node_id].note = "loading libraries" if needs else ""
        nursery.submit(self.working[node_id].token, job)

    def _receive(self, timeout: float) -> None:
        by_connection = {n.connection: n for n in self.nurseries.all()}
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
        self.nurseries.drop(nursery)
        for node_id, held in list(self.working.items()):
            if held.nursery is nursery:
                self._handle(node_id, Failed("the process that starts its workers was killed"))

    def _handle(self, node_id: str, report: Report) -> None:
        held = self.working[node_id]
        view = self.views[node_id]
        if isinstance(report, Started):
            held.started = True
            view.began, view.note = time.monotonic(), ""
            seconds = self._options(node_id).execution_timeout_sec
            held.deadline = view.began + seconds if seconds else None
            return
        if isinstance(report, Advanced):
            view.counts.update(report.counts)
            return
        del self.working[node_id]
        if self.canceling:
            self._give_up(node_id, held.prepared, State.CANCELED, "the run was canceled")
        elif isinstance(report, Failed):
            message = report.message or "it ended without a result"
            if report.crashed and (lines := last_lines(held.job.log_path)):
                message += f". The end of its log: {lines}"
            self._retry_or_give_up(node_id, held, message)
        elif held.job.kind == "driver":
            self._after_driver(node_id, held, report)
        else:
            self._publish(node_id, held, report)

    def _retry_or_give_up(self, node_id: str, held: _Work, error: str) -> None:
        """Record a failure of a worker, and try again as often as the node's options allow."""
        options = self._options(node_id)
        if held.timed_out:
            error = f"it took longer than its timeout of {options.execution_timeout_sec} s"
        self._give_up(node_id, held.prepared, State.FAILED, error)
        tried = self.retries.get(node_id, 0)
        if tried < options.max_execution_retries:
            self.retries[node_id] = tried + 1
            view = self.views[node_id]
            view.state, view.began, view.seconds = State.WAITING, None, None
            view.note = f"retry {tried + 1} of {options.max_execution_retries} after: {view.note}"
            self.display.changed(view)

    def _after_driver(self, node_id: str, held: _Work, report: Succeeded) -> None:
        prepared = execution.apply_driver(held.prepared, report.result)
        if self.events is not None:
            self.events.node_resolved(node_id, prepared.info.exec_properties)
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
        self.on_step(Step.REPORTED, node_id)
        self._renew()
        try:
            finished = execution.publish(
                self.metadata, held.prepared, report.result, report.measured
            )
        except StoreError:
            raise
        except RunError as error:
            self._retry_or_give_up(node_id, held, str(error))
            return
        except (PenstockError, OSError) as error:
            self._fail(node_id, held.prepared, error)
            return
        self._finish(node_id, finished)

    def _fail(self, node_id: str, outcome: Any, error: Exception) -> None:
        """Give up a node for an error in this process, as far as it is registered."""
        message = failures.describe(error, self.root)
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

    def _finish(self, node_id: str, finished: execution.Finished, note: str = "") -> None:
        self._settle(
            node_id,
            State.CACHED if finished.cached else State.DONE,
            execution_id=finished.execution_id,
            outputs=finished.outputs,
            note=note,
        )

    def _settle(
        self,
        node_id: str,
        state: State,
        *,
        execution_id: int | None = None,
        outputs: Mapping[str, list[Any]] | None = None,
        error: str = "",
        note: str = "",
    ) -> None:
        view = self.views[node_id]
        view.state, view.seconds = state, view.elapsed()
        view.note = note or (error if state is State.SKIPPED else error.partition("\n")[0])
        log = os.path.join(self.log_folder, f"{node_id}.log")
        self.results[node_id] = NodeResult(
            node_id,
            state,
            execution_id,
            outputs or {},
            view.seconds,
            error,
            log if os.path.exists(log) else None,
            bool(self._options(node_id).node_success_optional),
        )
        self.display.changed(view)
        if self.events is not None:
            found = execution.is_system_node(self.nodes[node_id])
            self.events.node_ended(
                node_id,
                state.value,
                execution_id=execution_id,
                outputs=None if found else outputs,
                error=error,
            )

    def _cancel(self) -> None:
        """Stop all workers: politely at first, for good when asked again or after a while."""
        self.canceling = True
        asked = self.interrupts.count
        deadline = time.monotonic() + _GRACE_SECONDS
        for node_id, held in list(self.working.items()):
            held.nursery.stop(held.token, signal.SIGTERM)
            if not held.started:
                del self.working[node_id]
                self._give_up(node_id, held.prepared, State.CANCELED, "the run was canceled")
        while self.working and time.monotonic() < deadline and self.interrupts.count == asked:
            self._receive(timeout=0.2)
            self.display.refresh()
        for held in self.working.values():
            held.nursery.stop(held.token, signal.SIGKILL)
