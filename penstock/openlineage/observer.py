"""What a runner tells of a run, and turns into events without ever waiting for them or failing."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Concatenate, ParamSpec

from penstock.metadata.runs import EventDelivery
from penstock.openlineage.datasets import input_datasets, output_datasets
from penstock.openlineage.delivery import FLUSH_SECONDS, Mailbox
from penstock.openlineage.destination import Destination, open_sink, require_library
from penstock.openlineage.events import (
    STATES,
    JobRun,
    execution_uuid,
    now,
    run_event,
    run_uuid,
)

_LOG = logging.getLogger(__name__)
_P = ParamSpec("_P")

Artifacts = Mapping[str, Iterable[Any]]


def _losing_at_most_an_event(
    method: Callable[Concatenate[RunEvents, _P], None],
) -> Callable[Concatenate[RunEvents, _P], None]:
    def guarded(self: RunEvents, /, *args: _P.args, **kwargs: _P.kwargs) -> None:
        try:
            method(self, *args, **kwargs)
        except Exception as error:  # no event is worth a run
            _LOG.debug("an event could not be made", exc_info=True)
            self.mailbox.lose(f"{type(error).__name__} while an event was made")

    functools.update_wrapper(guarded, method)
    return guarded


class RunEvents:
    """The events of one run, on their way to a destination.

    A runner calls `run_started`; for each execution of a node `node_started`, `node_resolved` if
    a driver has changed its parameters, and `node_ended`; and at last `run_ended`, which says what
    has become of the events. What is told before `run_started` is of an earlier attempt at the
    run, and was told then. States are those of the store: done, cached, failed, canceled, skipped.

    Raises:
      ConfigError: openlineage-python is not installed.
    """

    def __init__(self, destination: Destination) -> None:
        require_library()
        # Here and not in the mailbox's thread: a process that is forked meanwhile would for ever
        # find the modules half imported.
        import openlineage.client  # noqa: F401

        self.namespace = destination.namespace
        self.mailbox = Mailbox(functools.partial(open_sink, destination))
        self._run: JobRun | None = None
        self._nodes: dict[str, tuple[JobRun, Artifacts]] = {}

    @_losing_at_most_an_event
    def run_started(
        self, run_id: str, pipeline_name: str, parameters: Mapping[str, Any], *, attempt: int = 1
    ) -> None:
        """Tell that the run begins; or begins again, at its second attempt or a later one."""
        self._run = JobRun(
            run_uuid(run_id, attempt),
            self.namespace,
            pipeline_name,
            run_id,
            parameters=dict(parameters),
        )
        self._post(self._run, "running")

    @_losing_at_most_an_event
    def node_started(
        self,
        node_id: str,
        *,
        execution_id: int | None = None,
        inputs: Artifacts | None = None,
        parameters: Mapping[str, Any] | None = None,
        code: Mapping[str, str] | None = None,
    ) -> None:
        """Tell that a node's execution begins; `code` has digests by file or component."""
        if self._run is None:
            return
        run = replace(
            self._run,
            uuid=execution_uuid(self._run.run_id, node_id, execution_id),
            node_id=node_id,
            parent=self._run.uuid,
            execution_id=execution_id,
            parameters=_visible(parameters),
            code=dict(code or {}),
        )
        kept = {key: list(artifacts) for key, artifacts in (inputs or {}).items()}
        datasets = input_datasets(kept, run.parameters)
        self._nodes[node_id] = run, kept
        self._post(run, "running", inputs=datasets)

    @_losing_at_most_an_event
    def node_resolved(self, node_id: str, parameters: Mapping[str, Any]) -> None:
        """Take over a node's parameters as its driver has resolved them."""
        if node_id in self._nodes:
            run, inputs = self._nodes[node_id]
            self._nodes[node_id] = replace(run, parameters=_visible(parameters)), inputs

    @_losing_at_most_an_event
    def node_ended(
        self,
        node_id: str,
        state: str,
        *,
        execution_id: int | None = None,
        outputs: Artifacts | None = None,
        error: str = "",
    ) -> None:
        """Tell what became of a node's execution; nothing, where it was skipped."""
        if self._run is None or state not in STATES:
            return
        if node_id not in self._nodes:
            self.node_started(node_id, execution_id=execution_id)
        run, inputs = self._nodes.pop(node_id)
        self._post(
            run,
            state,
            inputs=input_datasets(inputs, run.parameters),
            outputs=output_datasets(outputs or {}),
            error=error,
        )

    def run_ended(
        self, state: str, error: str = "", *, flush_seconds: float = FLUSH_SECONDS
    ) -> EventDelivery:
        """Tell what became of the run; wait a little for events that are under way."""
        if self._run is not None:
            self._end(self._run, state, error)
        return self.mailbox.close(flush_seconds)

    @_losing_at_most_an_event
    def _end(self, run: JobRun, state: str, error: str) -> None:
        for node_id in list(self._nodes):
            self.node_ended(node_id, "canceled", error="the run ended before it did")
        self._post(run, state, error=error)

    def _post(self, run: JobRun, state: str, **details: Any) -> None:
        self.mailbox.post(functools.partial(run_event, run, state, now(), **details))


def _visible(parameters: Mapping[str, Any] | None) -> dict[str, Any]:
    return {k: v for k, v in (parameters or {}).items() if not k.startswith("__")}
