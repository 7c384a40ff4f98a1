"""Runs a pipeline on this machine: independent nodes at the same time, each in its own process."""

from __future__ import annotations

import atexit
import gc
import os
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

from penstock import _tfx, ir
from penstock.errors import RunError
from penstock.execution import engines, needs, preconditions, references, reuse, work
from penstock.execution.acceleration import accelerated
from penstock.execution.daemon.asking import Lender
from penstock.execution.lending import decide, record_base
from penstock.execution.plan import NodePlan, plan
from penstock.execution.recovery import end_executions, mark_abandoned
from penstock.execution.schedule import State, read_graph
from penstock.execution.steps import OnStep, ignore
from penstock.execution.waiting import StoreWait
from penstock.execution.workers.interrupts import counted_interrupts
from penstock.execution.workers.nursery import Nurseries
from penstock.ir.reading import RUN_CONTEXT
from penstock.metadata import attempts, turns
from penstock.metadata.databases.patience import Patience
from penstock.metadata.protocol import Metadata, Store
from penstock.metadata.reading import run_context
from penstock.metadata.run_requests import (
    RunOptions,
    RunRequest,
    read_request,
    record_request,
    reopen,
    run_state,
)
from penstock.metadata.runs import find_run
from penstock.metadata.store import connect, connect_or_empty, connection_config
from penstock.openlineage import Destination, RunEvents, parse_destination
from penstock.opentelemetry import Collector, RunTelemetry, collector_of
from penstock.project.limits import RunLimit
from penstock.project.profiles import Profile
from penstock.runners.local.concluding import conclude
from penstock.runners.local.display import Display, Forgiving, default_display
from penstock.runners.local.limiting import Admission
from penstock.runners.local.result import RunResult
from penstock.runners.local.running import Run, RunSetup
from penstock.safety.secrets import resolve_address

DEFAULT_FOLDER = ".penstock"


@dataclass(frozen=True)
class LocalRunner:
    """Runs pipelines on this machine.

    `pipeline_root` and `metadata` (the address of an ML Metadata store) are for pipelines that do
    not bring their own; without them all is kept below `.penstock` in the current folder.
    `parallelism` is how many nodes work at the same time: as many as there are CPUs by default.
    `beam_args` are for nodes that can use Beam. `display` shows the run as it goes. `on_step` is
    called at every step of a node's life (see `penstock.execution.steps`), also in workers.
    `openlineage` is where OpenLineage events go: "file:PATH", an http(s) URL, or a `Destination`.
    `opentelemetry` is the collector of traces and metrics: its http(s) address, or a `Collector`.
    `nurseries` are processes that have imported heavy modules already; without them a run makes its
    own. With `accelerate=False` TFX's own executors do the work of the nodes of a TFX pipeline,
    also where Penstock has an engine with the same results. `definition_seconds` is how long it
    took to come to a run, where that is known; it is recorded with the run. `store_patience` is how
    many seconds a run waits for a metadata store whose server is away. `limit` says how many runs
    of the pipeline may be under way at once in the store, whoever has started them. `daemon` is the
    folder of a project whose daemon, where there is one, lends the run what it has imported, or
    who asks that.
    """

    pipeline_root: str | None = None
    metadata: str | None = None
    parallelism: int | None = None
    beam_args: tuple[str, ...] = ()
    display: Display | None = None
    on_step: OnStep = ignore
    openlineage: Destination | str | None = None
    opentelemetry: Collector | str | None = None
    nurseries: Nurseries | None = None
    accelerate: bool = True
    definition_seconds: float = 0.0
    store_patience: float = Profile.metadata_patience
    limit: RunLimit | None = None
    daemon: str | Lender | None = None

    def run(
        self,
        pipeline: Any,
        *,
        parameters: Mapping[str, Any] | None = None,
        cache: bool = True,
        from_nodes: Collection[str] = (),
        to_nodes: Collection[str] = (),
        only: Collection[str] = (),
        base_run: str | None = None,
        definition: str = "",
        run_id: str | None = None,
        raise_on_failure: bool = True,
    ) -> RunResult:
        """Run a pipeline: one of ours, a TFX `Pipeline`, or IR.

        `cache=False` runs every node, whatever earlier runs have made. `from_nodes`, `to_nodes` and
        `only` choose a part of the pipeline; what its nodes need of others is what those have made
        in `base_run`, or else in the newest run that has all of it. `definition` is recorded, so
        that `penstock resume` finds the pipeline. `run_id` names the run, which is made only if the
        store has none of that name.

        Raises:
          RunFailed: a node failed or the run was canceled, unless `raise_on_failure` is false.
          RunError: there is a run of that name, or as many are under way as may be.
          PenstockError: the pipeline, its parameters or the store cannot be used.
        """
        events = self._events()
        compiled, connection = self._compile(pipeline)
        ir.check_used(pipeline, compiled, parameters or {})
        values = ir.effective_parameters(compiled, parameters or {})
        options = self._options(cache, from_nodes, to_nodes, only, base_run)
        bound = _bind(compiled, run_id or new_run_id(), values, options)
        display = self._display()
        setup = self._setup(bound, values, connection, events, display)
        needs.check(bound, bound.chosen)
        waiting, patience = self._waiting(display)
        with (
            connect(connection, patience=patience) as metadata,
            counted_interrupts() as waiting.interrupts,
        ):
            mark_abandoned(metadata)
            lending = decide(metadata.store, bound, base_run)
            lending.check()
            options = replace(options, base_run=lending.base_run)
            setup = setup.lent(lending)
            attempt = self._admission(metadata, connection, bound, display, waiting).begin()
            with turns.in_hand(attempt):
                _check_new(metadata.store, attempt)
                record_request(metadata, lending.pipeline, RunRequest(values, definition, options))
                if lending.is_asked and lending.base_run is not None:
                    record_base(metadata, bound.run_id, lending.base_run)
                return conclude(Run(setup, metadata, attempt, waiting), raise_on_failure)

    def resume(
        self, pipeline: Any, run_id: str = "latest", *, raise_on_failure: bool = True
    ) -> RunResult:
        """Go on with a run that failed, was canceled or was killed, where it stood.

        What its nodes have finished is kept; the others run with the run's parameters and options
        and with the code as it is now.

        Raises:
          RunFailed: a node failed or the run was canceled, unless `raise_on_failure` is false.
          RunError: there is no such run, it is under way, it is over, or it is another pipeline's.
        """
        events = self._events()
        compiled, connection = self._compile(pipeline)
        display = self._display()
        waiting, patience = self._waiting(display)
        with (
            connect(connection, create=False, patience=patience) as metadata,
            counted_interrupts() as waiting.interrupts,
        ):
            mark_abandoned(metadata)
            record = find_run(metadata.store, run_id)
            name = compiled.pipeline_info.id
            if record.pipeline_name != name:
                raise RunError(
                    f"run {record.run_id} is one of pipeline {record.pipeline_name}, not of {name}"
                )
            if record.state == State.DONE.value:
                raise _over(record.run_id)
            request = read_request(metadata.store, record.run_id)
            values = ir.effective_parameters(compiled, request.parameters)
            bound = _bind(compiled, record.run_id, values, request.options)
            lending = decide(metadata.store, bound, request.options.base_run)
            setup = self._setup(bound, values, connection, events, display).lent(lending)
            done = partial(_is_done, metadata.store)
            needs.check(bound, bound.chosen, is_done=done)
            attempt = self._admission(metadata, connection, bound, display, waiting).begin()
            with turns.in_hand(attempt):
                _check_not_over(metadata.store, attempt)
                # Those of a process that was taken for abandoned and began one after that.
                end_executions(metadata.store, record.run_id, "its process had lost the run")
                reopen(metadata.store, lending.pipeline)
                running = Run(setup, metadata, attempt, waiting)
                return conclude(running, raise_on_failure, resumed=True)

    def plan(
        self,
        pipeline: Any,
        *,
        parameters: Mapping[str, Any] | None = None,
        cache: bool = True,
        from_nodes: Collection[str] = (),
        to_nodes: Collection[str] = (),
        only: Collection[str] = (),
        base_run: str | None = None,
    ) -> list[NodePlan]:
        """Return what `run` with the same arguments would do, node by node, and why.

        Nothing is written. Without a store yet, every node would run.
        """
        compiled, connection = self._compile(pipeline)
        values = ir.effective_parameters(compiled, parameters or {})
        options = self._options(cache, from_nodes, to_nodes, only)
        bound = _bind(compiled, "planned", values, options)
        needs.check(bound, bound.chosen)
        engines.check(bound, bound.chosen)
        references.warn_of_secrets(bound, values)
        with connect_or_empty(connection) as metadata:
            return plan(metadata, bound, base_run)

    def preloads(
        self, pipeline: Any, *, parameters: Mapping[str, Any] | None = None
    ) -> tuple[str, ...]:
        """Return the heavy modules that the work of a pipeline's nodes will import."""
        compiled, _ = self._compile(pipeline)
        values = ir.effective_parameters(compiled, parameters or {})
        return work.preloads_of_all(_bind(compiled, "planned", values, self._options(True)))

    def _setup(
        self,
        bound: ir.Pipeline,
        parameters: Mapping[str, Any],
        connection: _tfx.Connection,
        events: RunEvents | None,
        display: Display,
    ) -> RunSetup:
        """Return what a run is made of.

        Raises:
          PenstockError: something that it needs is not there.
        """
        preconditions.check(bound, bound.chosen)
        references.warn_of_secrets(bound, parameters)
        _end_without_search()
        return RunSetup(
            bound,
            read_graph(bound),
            parameters,
            connection,
            self.parallelism or len(os.sched_getaffinity(0)),
            display,
            self.on_step,
            events,
            self.nurseries or self._nurseries(),
            self._telemetry(),
            self.definition_seconds,
            self.accelerate,
        )

    def _nurseries(self) -> Nurseries:
        if not self.daemon:
            return Nurseries()
        return Nurseries(lend=Lender(self.daemon) if isinstance(self.daemon, str) else self.daemon)

    def _admission(
        self,
        metadata: Metadata,
        connection: _tfx.Connection,
        bound: ir.Pipeline,
        display: Display,
        waiting: StoreWait,
    ) -> Admission:
        return Admission(
            metadata, connection, bound.name, bound.run_id, self.limit, display, waiting
        )

    def _display(self) -> Display:
        return Forgiving(self.display or default_display())

    def _waiting(self, display: Display) -> tuple[StoreWait, Patience]:
        """Return what is done while the store is waited for, and how long that may take."""
        waiting = StoreWait(display.waiting)
        return waiting, Patience(self.store_patience, meanwhile=waiting)

    def _options(
        self,
        cache: bool,
        from_nodes: Collection[str] = (),
        to_nodes: Collection[str] = (),
        only: Collection[str] = (),
        base_run: str | None = None,
    ) -> RunOptions:
        chosen = tuple(from_nodes), tuple(to_nodes), tuple(only)
        return RunOptions(cache, *chosen, base_run, self.accelerate)

    def _telemetry(self) -> RunTelemetry | None:
        collector = self.opentelemetry
        if isinstance(collector, str):
            collector = collector_of(collector, os.environ) if collector else None
        return RunTelemetry(collector, os.environ) if collector else None

    def _events(self) -> RunEvents | None:
        if not self.openlineage:
            return None
        destination = self.openlineage
        return RunEvents(
            parse_destination(destination) if isinstance(destination, str) else destination
        )

    def _compile(self, pipeline: Any) -> tuple[_tfx.PipelineProto, _tfx.Connection]:
        name = getattr(pipeline, "name", "pipeline")
        root = os.path.abspath(self.pipeline_root or os.path.join(DEFAULT_FOLDER, name))
        default = os.path.join(DEFAULT_FOLDER, "metadata.sqlite")
        address = resolve_address(self.metadata or default)
        compiled = ir.compile_pipeline(pipeline, pipeline_root=root, beam_args=self.beam_args)
        own = ir.metadata_connection(compiled)
        if own is not None and self.metadata is None:
            return compiled, own
        return compiled, connection_config(address)


def _end_without_search() -> None:
    """Let this process end without looking for garbage: after an import of TFX it takes seconds."""
    atexit.unregister(gc.freeze)
    atexit.register(gc.freeze)


def _bind(
    compiled: _tfx.PipelineProto, run_id: str, parameters: Mapping[str, Any], options: RunOptions
) -> ir.Pipeline:
    """Return a pipeline in which parameters and options of a run are filled in."""
    bound = ir.select_nodes(
        ir.bind(compiled, run_id=run_id, parameters=parameters),
        from_nodes=options.from_nodes,
        to_nodes=options.to_nodes,
        only=options.only,
    )
    if not options.cache:
        for entry in bound.nodes:
            entry.pipeline_node.execution_options.caching_options.enable_cache = False
    return accelerated(ir.unfold_given(ir.view(bound)), enabled=options.accelerate)


def _is_done(store: Store, node: ir.Node) -> bool:
    return reuse.finished_in_run(store, node) is not None


def _check_new(store: Store, attempt: attempts.Attempt) -> None:
    """Make sure that nobody has begun the run before; who has the attempt is alone to ask.

    One that was killed before it had recorded what was asked for has not begun.
    """
    context = store.get_context_by_type_and_name(RUN_CONTEXT, attempt.run_id)
    if context is not None and run_state(context):
        turns.end(store, attempt, "refused")
        raise RunError(
            f"there is a run {attempt.run_id} already",
            hint=f"Go on with it: penstock resume {attempt.run_id}.",
        )


def _check_not_over(store: Store, attempt: attempts.Attempt) -> None:
    """Make sure that nobody has brought the run to its end while this process waited for it."""
    if run_state(run_context(store, attempt.run_id)) == State.DONE.value:
        turns.end(store, attempt, "refused")
        raise _over(attempt.run_id)


def _over(run_id: str) -> RunError:
    return RunError(
        f"run {run_id} has come to its end: there is nothing to resume",
        hint="Start a new run: what has not changed comes from the cache.",
    )


def new_run_id() -> str:
    """Return a run's name: the time, so that names sort, and a part that makes it unique."""
    return f"{datetime.now():%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
