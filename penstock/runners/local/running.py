"""A run under way: which node is in whose hands, and what has become of the others."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from penstock import _tfx, ir
from penstock.errors import PenstockError, RunError, StoreError
from penstock.execution import preconditions, reuse, work
from penstock.execution.acceleration import accelerated
from penstock.execution.elapsed import BOOKKEEPING, LIBRARIES, Elapsed
from penstock.execution.lending import Lending, lend
from penstock.execution.lifecycle import Life, Unobserved
from penstock.execution.logs import add_line, begin_try
from penstock.execution.looping import unfold_known
from penstock.execution.schedule import Graph, State, read_graph, ready, settle
from penstock.execution.stages import Finished, Outcome, Prepared, Skipped, Work
from penstock.execution.steps import OnStep, ignore
from penstock.execution.waiting import StoreWait
from penstock.execution.workers import failures
from penstock.execution.workers.jobs import Advanced, Failed, Job, Report, Started, job_of
from penstock.execution.workers.nursery import Nurseries, main_is_importable
from penstock.execution.workers.origin import reason_for_new_process
from penstock.execution.workers.pool import Pool
from penstock.ir.loops import LoopSpec
from penstock.ir.reading import RUN_CONTEXT
from penstock.ir.unfolding import body_of, waiting_loops
from penstock.metadata import attempts, turns
from penstock.metadata.databases.patience import Patience, StoreAway
from penstock.metadata.layout import log_path, resources_path, run_folder
from penstock.metadata.protocol import Metadata
from penstock.metadata.reading import newest_contexts
from penstock.metadata.run_requests import reopen
from penstock.openlineage import RunEvents
from penstock.opentelemetry import RunTelemetry
from penstock.project.retrying import TIMEOUT
from penstock.report import import_ahead
from penstock.runners.local.display import Display, NodeView
from penstock.runners.local.result import NodeResult, RunResult
from penstock.safety.opening import make_folder_below

_GRACE_SECONDS = 10.0
_CANCELED = "the run was canceled"
# A renewal that takes longer is made again.
_RENEWAL_LIMIT_SECONDS = 5.0
_ORIGIN_COPY, _ORIGIN_NEW = "copies of the process that runs the pipeline", "a new process: "


@dataclass(frozen=True)
class RunSetup:
    """What a run is made of; `pipeline` is bound, and `graph` is its graph.

    `on_step`, `events` and `telemetry` are told what happens to its nodes; `nurseries` may be those
    of a session; `lending` says what those that do not run lend.
    """

    pipeline: ir.Pipeline
    graph: Graph
    parameters: Mapping[str, Any]
    connection: _tfx.Connection  # ML Metadata's connection config
    parallelism: int
    display: Display
    on_step: OnStep = ignore
    events: RunEvents | None = None
    nurseries: Nurseries = field(default_factory=Nurseries)
    telemetry: RunTelemetry | None = None
    definition_seconds: float = 0.0
    accelerate: bool = True
    lending: Lending | None = None

    def lent(self, lending: Lending) -> RunSetup:
        """Return what a run is made of whose nodes are lent what they need of others."""
        pipeline = lending.pipeline
        graph = self.graph if pipeline is self.pipeline else read_graph(pipeline)
        return replace(self, pipeline=pipeline, graph=graph, lending=lending)

    @property
    def log_folder(self) -> str:
        """The folder of the run's logs."""
        return run_folder(self.pipeline.root, self.pipeline.run_id)

    def log_path(self, node_id: str) -> str:
        """Return the file that has what a node prints."""
        return log_path(self.log_folder, node_id)


@dataclass
class _Held:
    """A node in the hands of a worker."""

    life: Life
    work: Work
    job: Job
    started: bool = False
    deadline: float | None = None
    timed_out: bool = False

    @property
    def token(self) -> str:
        """The worker's name, new for a driver, an executor and each time that they are tried."""
        return f"{self.job.kind} {self.life.node.id} {self.work.prepared.execution_id}"


class _Events(Unobserved):
    """Tells OpenLineage of a node what its life tells."""

    def __init__(self, events: RunEvents) -> None:
        self._events = events

    def registered(self, node: ir.Node, stage: Prepared | Finished) -> None:
        """Tell that the node has started."""
        if isinstance(stage, Finished):
            # What an importer or a resolver gives out was there before.
            self._events.node_started(
                node.id, execution_id=stage.execution_id, inputs=stage.outputs
            )
            return
        self._events.node_started(
            node.id,
            execution_id=stage.execution_id,
            inputs=stage.info.input_dict,
            parameters=stage.info.exec_properties,
            code=stage.fingerprint.code,
        )

    def resolved(self, node: ir.Node, parameters: Mapping[str, Any]) -> None:
        """Tell its parameters."""
        self._events.node_resolved(node.id, parameters)


class Run:
    """A run under way in this process, which holds an attempt at it."""

    def __init__(
        self,
        setup: RunSetup,
        metadata: Metadata,
        attempt: attempts.Attempt,
        waiting: StoreWait,
    ) -> None:
        self.setup = setup
        self.pipeline, self.graph = setup.pipeline, setup.graph
        self.metadata = metadata
        self.attempt = attempt
        self.waiting = waiting
        self._interrupts = waiting.interrupts
        self._observer = _Events(setup.events) if setup.events is not None else Unobserved()
        self._pool: Pool | None = None
        self._held: dict[str, _Held] = {}
        self._views = {node.id: _view_of(node) for node in self.pipeline}
        self._results: dict[str, NodeResult] = {}
        self._retries: dict[str, int] = {}
        self._not_before: dict[str, float] = {}
        self._renewed, self._leased_until = time.time(), attempt.until
        self._canceling = self._taken = self._resumed = False
        # What came of work while the store was waited for.
        self._ends: list[tuple[str, Report]] = []
        self.elapsed = Elapsed()
        waiting.mind = self._mind

    def run(self, *, resumed: bool = False) -> RunResult:
        """Run to the end; `resumed` takes over what the run has done already."""
        began = time.monotonic()
        setup, pipeline = self.setup, self.pipeline
        self._resumed = resumed
        try:
            make_folder_below(pipeline.root, setup.log_folder)
        except OSError as error:
            raise failures.storage_error(error, pipeline.root) or error from error
        title = f"{pipeline.name}  run {pipeline.run_id}{'  resumed' if resumed else ''}"
        setup.display.start(title, self._views)
        try:
            self._take_over(pipeline)
            if setup.events is not None:
                number = self.attempt.number
                setup.events.run_started(
                    pipeline.run_id, pipeline.name, setup.parameters, attempt=number
                )
            if setup.telemetry is not None:
                setup.telemetry.run_started(
                    pipeline.run_id, pipeline.name, attempt=self.attempt.number
                )
            self._settle_left_out()
            self._unfold()
            self._loop(self._open_pool())
        finally:
            # Workers end first: only an error leaves some here, and they would go on writing.
            if self._pool is not None:
                self._pool.release()
            for node_id, held in self._held.items():
                self._settle(
                    node_id,
                    State.CANCELED,
                    execution_id=held.work.prepared.execution_id,
                    error="the run ended in an error",
                )
            setup.display.stop()
            self._count(BOOKKEEPING)
        return RunResult(
            pipeline.run_id,
            pipeline.name,
            self._state(),
            dict(setup.parameters),
            {node_id: self._result(node_id) for node_id in self.pipeline.nodes},
            time.monotonic() - began,
        )

    def _state(self) -> State:
        states = {
            view.state
            for node_id, view in self._views.items()
            if not (view.state is State.FAILED and self.pipeline.nodes[node_id].is_optional)
        }
        if State.CANCELED in states or self._canceling:
            return State.CANCELED
        return State.FAILED if State.FAILED in states else State.DONE

    def _take_over(self, nodes: Iterable[ir.Node]) -> None:
        """Settle the nodes that this run has done before it was interrupted."""
        for node in nodes if self._resumed else ():
            if node.loops:
                continue
            finished = reuse.finished_in_run(self.metadata.store, node)
            if finished is not None:
                self._finish(node.id, finished, note="before the interruption")

    def _settle_left_out(self) -> None:
        """Settle the nodes that do not run; those whose outputs others need lend them."""
        lending = self.setup.lending
        for node in self.pipeline:
            if self._views[node.id].state.final or not node.is_left_out:
                continue
            if node.lends and node.loops:
                continue  # until it is known for which items
            if not node.lends:
                self._settle(node.id, State.SKIPPED, error="it was not asked for")
                continue
            # TFX's `snapshot` may have given the run what the node lends.
            finished = reuse.finished_in_run(self.metadata.store, node)
            if finished is None:
                base = lending.base_run if lending else None
                finished = lend(self.metadata, self.pipeline, node, base)
            origin = lending.origin if lending else ""
            self._finish(node.id, finished, note=f"reused {origin}".rstrip())

    def _result(self, node_id: str) -> NodeResult:
        view = self._views[node_id]
        return self._results.get(node_id) or NodeResult(node_id, view.state, error=view.note)

    def _open_pool(self) -> Pool:
        reason = "" if self._must_fork() else reason_for_new_process()
        if self.setup.nurseries.lasting and not self._must_fork():
            reason = "they serve a session"
        log = os.path.join(self.setup.log_folder, ".workers.log")
        add_line(log, f"workers come of {_ORIGIN_NEW + reason if reason else _ORIGIN_COPY}")
        self._pool = Pool(self.setup.nurseries, self._preload(), log, fork=not reason)
        if self._surely_works():
            self._pool.warm_up()
        return self._pool

    def _surely_works(self) -> bool:
        """Whether every node will do its work, since nothing can come from the cache."""
        if not any(node.is_cached for node in self.pipeline):
            return True
        return len(list(islice(newest_contexts(self.metadata.store, RUN_CONTEXT), 2))) < 2

    def _preload(self) -> tuple[str, ...]:
        """Return the heavy modules that the pipeline's nodes will import, TensorFlow first."""
        left = [node_id for node_id in self.graph.upstream if not self._views[node_id].state.final]
        return work.preloads_of_all(self.pipeline, left)

    def _must_fork(self) -> bool:
        """Whether workers must be copies of this process, the only one that has what they run."""
        if main_is_importable():
            return False
        paths = [
            path or "" for node in self.pipeline for path in (node.executor_path, node.driver_path)
        ]
        of_steps = getattr(self.setup.on_step, "__module__", "")
        return of_steps == "__main__" or any(path.startswith("__main__.") for path in paths)

    def _loop(self, pool: Pool) -> None:
        while True:
            if self._interrupts.count and not self._canceling:
                self._cancel(pool)
            self._renew(pool)
            self._stop_overdue(pool)
            if not self._canceling:
                self._start_ready(pool)
            if not self._held and (self._canceling or not self._will_retry()):
                break
            self._receive(pool)
        for node_id, view in self._views.items():
            if view.state is State.WAITING:
                self._settle(node_id, State.SKIPPED, error=_CANCELED)

    def _renew(self, pool: Pool) -> None:
        """Say that the run is alive; end it if somebody has taken it for dead meanwhile."""
        # Others look at the time of day, which also goes on while a machine sleeps.
        if self._canceling or abs(time.time() - self._renewed) < turns.RENEWAL_SECONDS:
            return
        self._renewed = time.time()
        try:
            renewed = not self._taken and turns.renew(self.metadata.store, self.attempt)
        except StoreError:
            # What keeps the store from writing may pass, as a disk that a node fills until it ends.
            if time.time() > self._leased_until:
                raise
            return
        self._leased_until = self._renewed + turns.TERM_SECONDS
        if not renewed:
            self._cancel(pool)
            raise RunError(
                f"run {self.pipeline.run_id} was taken for abandoned while this process was not "
                "heard of",
                hint=f"Go on with it: penstock resume {self.pipeline.run_id}.",
            )

    def _mind(self) -> None:
        """Do what does not wait, while the store is waited for: nodes have their timeouts.

        The run is renewed over another connection: it may be the first that is cut off, or busy.
        """
        self._mind_workers()
        if self._canceling or abs(time.time() - self._renewed) < turns.RENEWAL_SECONDS:
            return
        self._renewed = time.time()

        def meanwhile(_reason: str) -> None:
            self._mind_workers()
            if self._interrupts.count:
                raise StoreAway("the run was asked to end")

        patience = Patience(0, _RENEWAL_LIMIT_SECONDS, meanwhile)
        with (
            contextlib.suppress(StoreError, RuntimeError, _tfx.ml_metadata.errors.StatusError),
            contextlib.closing(self.metadata.store.another(patience)) as store,
        ):
            self._taken = not turns.renew(store, self.attempt)
            self._leased_until = self._renewed + turns.TERM_SECONDS

    def _mind_workers(self) -> None:
        if self._pool is not None:
            for token, report in self._pool.reports(timeout=0):
                if isinstance(report, Started | Advanced):
                    self._handle_report(self._pool, token, report)
                else:
                    self._ends.append((token, report))
            self._stop_overdue(self._pool)
        self.setup.display.refresh()

    def _stop_overdue(self, pool: Pool) -> None:
        now, ended = time.monotonic(), {token for token, _ in self._ends}
        for held in self._held.values():
            if held.deadline is None or now < held.deadline or held.token in ended:
                continue
            number = signal.SIGKILL if held.timed_out else signal.SIGTERM
            held.timed_out, held.deadline = True, now + _GRACE_SECONDS
            pool.stop(held.token, number)

    def _states(self) -> dict[str, State]:
        return {node_id: view.state for node_id, view in self._views.items()}

    def _start_ready(self, pool: Pool) -> None:
        progress = True
        while progress:
            progress = False
            self._unfold()
            graph = self.graph
            for node_id, reason in settle(graph, self._states()).items():
                self._settle(node_id, State.SKIPPED, error=reason)
            for node_id in ready(graph, self._states()):
                if self._pauses(node_id):
                    continue
                if len(self._held) >= self.setup.parallelism:
                    return
                self._start(pool, node_id)
                progress = True

    def _unfold(self) -> None:
        """Let the nodes of loops be there once for each item, as soon as the items are known."""
        progress = True
        while progress:
            progress = False
            for loop in waiting_loops(self.pipeline).values():
                made = {name: self._results.get(name) for name in loop.producers}
                if all(node is not None and node.state.successful for node in made.values()):
                    outputs = {name: node.outputs for name, node in made.items() if node}
                    progress = self._unfold_loop(loop, outputs) or progress

    def _unfold_loop(self, loop: LoopSpec, outputs: Mapping[str, _tfx.Artifacts]) -> bool:
        """Let the nodes of a loop be there for its items, and return whether they are."""
        body = body_of(self.pipeline, loop)
        if all(self._views[node.id].state.final for node in body):
            return False
        try:
            unfolded = unfold_known(self.pipeline, loop, outputs)
            pipeline = accelerated(unfolded, enabled=self.setup.accelerate)
            new = [node for node in pipeline if node.id not in self.pipeline.nodes]
            preconditions.check(pipeline, [node.id for node in new if not node.is_left_out])
        except (PenstockError, OSError) as error:
            for node in body:
                self._settle(node.id, State.FAILED, error=str(error))
            return False
        before, self.pipeline, self.graph = dict(self._views), pipeline, read_graph(pipeline)
        # The display has these views, in the order of the pipeline.
        self._views.clear()
        for node in pipeline:
            self._views[node.id] = before.get(node.id) or _view_of(node)
            template = before.get(node.template)
            if node.id not in before and template is not None and template.state.final:
                self._settle(node.id, template.state, error=template.note)
        reopen(self.metadata.store, pipeline)
        self._take_over(new)
        self._settle_left_out()
        return True

    def _start(self, pool: Pool, node_id: str) -> None:
        view = self._views[node_id]
        view.state, view.began = State.RUNNING, time.monotonic()
        begin_try(self.setup.log_path(node_id))
        if self.setup.telemetry is not None:
            self.setup.telemetry.node_started(node_id)
        life = Life(
            self.metadata,
            self.pipeline.nodes[node_id],
            observer=self._observer,
            on_step=self.setup.on_step,
        )
        self._follow(pool, life, life.begin())
        if node_id in self._held:
            self.setup.display.changed(view)

    def _follow(self, pool: Pool, life: Life, following: Work | Outcome) -> None:
        """Do what a node's life asks for next, or note how it ended."""
        node_id = life.node.id
        if isinstance(following, Work):
            self._submit(pool, life, following)
        elif isinstance(following, Skipped):
            self._settle(node_id, State.SKIPPED, error=following.reason)
        elif isinstance(following, Finished):
            self._finish(node_id, following)
        else:
            self._settle(
                node_id,
                following.state,
                execution_id=following.execution_id,
                error=following.reason,
            )
            if following.failure:
                self._retry(life.node, following.failure)

    def _submit(self, pool: Pool, life: Life, work: Work) -> None:
        node_id, setup = life.node.id, self.setup
        job = job_of(
            work,
            setup.log_path(node_id),
            setup.connection,
            self.pipeline,
            setup.on_step,
            resources_path(setup.log_folder, node_id),
        )
        if work.kind == "executor":
            # Something has changed, so nodes behind it will run too: let them find their modules.
            pool.warm_up()
            if life.node.done_by:
                add_line(job.log_path, life.node.done_by)
        held = self._held[node_id] = _Held(life, work, job)
        self._views[node_id].note = "loading libraries" if job.needs else ""
        pool.start(held.token, job)

    def _receive(self, pool: Pool) -> None:
        self._count(BOOKKEEPING)
        self.waiting.over()
        reports = pool.reports(timeout=0 if self._ends else 0.2)
        reports, self._ends = [*self._ends, *reports], []
        if not reports:
            import_ahead()  # nothing else is to be done
        self._count(LIBRARIES)
        for token, report in reports:
            self._handle_report(pool, token, report)
        self.setup.display.refresh()

    def _handle_report(self, pool: Pool, token: str, report: Report) -> None:
        # Handling one report may end a node that another is about.
        for held in [held for held in self._held.values() if held.token == token]:
            self._handle(pool, held, report)

    def _count(self, kind: str) -> None:
        """Count what has passed, unless a node works and it is that one's."""
        working = any(held.started for held in self._held.values())
        self.elapsed.passed(kind, counts=not working)

    def _handle(self, pool: Pool, held: _Held, report: Report) -> None:
        life, view = held.life, self._views[held.life.node.id]
        if isinstance(report, Started):
            held.started = True
            if self.setup.telemetry is not None:
                self.setup.telemetry.work_started(life.node.id, held.job.kind)
            view.began, view.note = time.monotonic(), ""
            timeout = life.node.timeout
            held.deadline = view.began + timeout if timeout else None
            return
        if isinstance(report, Advanced):
            view.counts.update(report.counts)
            view.note = view.note if report.note is None else report.note
            return
        del self._held[life.node.id]
        if self._canceling:
            self._follow(pool, life, life.canceled(_CANCELED))
        elif isinstance(report, Failed):
            failure = TIMEOUT if held.timed_out else report.failure
            self._follow(pool, life, life.failed(_reason(held, report), failure))
        else:
            if self.setup.telemetry is not None:
                self.setup.telemetry.work_ended(life.node.id, report.measured)
            self._renew(pool)
            self._follow(pool, life, life.succeeded(report.result, report.measured))

    def _retry(self, node: ir.Node, failure: str) -> None:
        """Let a node whose work failed wait for its turn again, as its options allow."""
        tried = self._retries.get(node.id, 0)
        pause = node.retries.pause(tried, failure)
        if pause is None:
            return
        self._retries[node.id] = tried + 1
        self._not_before[node.id] = time.monotonic() + pause
        view = self._views[node.id]
        view.state, view.began, view.seconds = State.WAITING, None, None
        soon = f" in {pause:g} s" if pause else ""
        view.note = f"retry {tried + 1} of {node.retries.count}{soon} after: {view.note}"
        self.setup.display.changed(view)

    def _will_retry(self) -> bool:
        """Whether a node that failed waits until it is tried again."""
        return any(self._views[node_id].state is State.WAITING for node_id in self._not_before)

    def _pauses(self, node_id: str) -> bool:
        """Whether a node that failed is not to be tried again yet."""
        return time.monotonic() < self._not_before.get(node_id, 0.0)

    def _finish(self, node_id: str, finished: Finished, note: str = "") -> None:
        self.waiting.over()
        self._settle(
            node_id,
            State.CACHED if finished.cached else State.DONE,
            execution_id=finished.execution_id,
            outputs=finished.outputs,
            note=note or finished.note,
        )

    def _settle(
        self,
        node_id: str,
        state: State,
        *,
        execution_id: int | None = None,
        outputs: _tfx.Artifacts | None = None,
        error: str = "",
        note: str = "",
    ) -> None:
        view, node = self._views[node_id], self.pipeline.nodes[node_id]
        view.state, view.seconds = state, view.elapsed()
        view.note = note or (error if state is State.SKIPPED else error.partition("\n")[0])
        log = self.setup.log_path(node_id)
        self._results[node_id] = NodeResult(
            node_id,
            state,
            execution_id,
            outputs or {},
            view.seconds,
            error,
            log if os.path.exists(log) else None,
            node.is_optional,
            node.works_in_store and not node.is_importer,
            node.item,
        )
        self.setup.display.changed(view)
        if self.setup.telemetry is not None:
            self.setup.telemetry.node_ended(
                node_id, state.value, seconds=view.seconds, execution_id=execution_id, error=error
            )
        if self.setup.events is not None:
            self.setup.events.node_ended(
                node_id,
                state.value,
                execution_id=execution_id,
                outputs=None if node.works_in_store else outputs,
                error=error,
            )

    def _cancel(self, pool: Pool) -> None:
        """Stop all workers: politely at first, for good when asked again or after a while."""
        self._canceling = True
        interruptions = self._interrupts.count
        deadline = time.monotonic() + _GRACE_SECONDS
        for node_id, held in list(self._held.items()):
            pool.stop(held.token, signal.SIGTERM)
            if not held.started:
                pool.forget(held.token)
                del self._held[node_id]
                self._follow(pool, held.life, held.life.canceled(_CANCELED))
        while (
            self._held and time.monotonic() < deadline and self._interrupts.count == interruptions
        ):
            self._receive(pool)
        for held in self._held.values():
            pool.stop(held.token, signal.SIGKILL)


def _view_of(node: ir.Node) -> NodeView:
    return NodeView(node.id, item=node.item)


def _reason(held: _Held, report: Failed) -> str:
    if held.timed_out:
        return f"it took longer than its timeout of {held.life.node.timeout} s"
    return failures.worker_failure(report.message, held.job.log_path if report.crashed else None)
