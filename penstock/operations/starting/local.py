"""Runs on this machine: the token is the run's name, and the store says how it stands."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from typing import Any

from penstock.errors import ParameterError, RunError
from penstock.ir.reading import RUN_CONTEXT
from penstock.metadata import turns
from penstock.metadata.attempts import Attempt
from penstock.metadata.layout import run_folder
from penstock.metadata.protocol import Store
from penstock.metadata.run_requests import read_request, run_root, run_state
from penstock.metadata.runs import find_run
from penstock.operations.starting.protocol import Request, RunState, Started

WHERE = "local"

_STATES = {
    "done": RunState.SUCCEEDED,
    "failed": RunState.FAILED,
    "canceled": RunState.CANCELED,
}


def read(store: Store, run_id: str) -> Started | None:
    """Return how a run stands, None if no process has had it in hand; nothing is written."""
    attempt = turns.latest(store, Attempt, run_id)
    # After the attempt, whose end is written last.
    context = store.get_context_by_type_and_name(RUN_CONTEXT, run_id)
    if attempt is None:
        return None
    root = run_root(context) if context is not None else ""
    address = run_folder(root, run_id) if root else ""
    if attempt.state == turns.RUNNING and not attempt.is_abandoned():
        return Started(run_id, WHERE, RunState.RUNNING, address, attempt.number)
    # What a process left that is gone says that it runs, or nothing at all.
    recorded = run_state(context) if context is not None else ""
    state = _STATES.get(recorded, RunState.LOST)
    error = _error(store, run_id) if state is RunState.FAILED else ""
    return Started(run_id, WHERE, state, address, attempt.number, error)


def is_recorded(store: Store, run_id: str) -> bool:
    """Whether it is recorded what was asked for of a run, so that it can be gone on with."""
    context = store.get_context_by_type_and_name(RUN_CONTEXT, run_id)
    return context is not None and bool(run_state(context))


def check_same(store: Store, request: Request, run_id: str) -> None:
    """Check that a run is the one that is asked for.

    Raises:
      ParameterError: it is one of another pipeline, or with other parameters.
    """
    if not is_recorded(store, run_id):
        return
    recorded = read_request(store, run_id)
    what = ""
    if recorded.definition != request.pipeline:
        what = (
            f"one of {recorded.definition or 'a pipeline from Python'}, not of {request.pipeline}"
        )
    elif other := _other_parameters(request.parameters, recorded.parameters):
        what = f"one with {other}"
    if what:
        raise ParameterError(
            f"run {run_id} has been started already, as {what}",
            hint="Take another token for another run.",
        )


def cancel(store: Store, run_id: str) -> None:
    """Ask the process of a run to end it.

    Raises:
      RunError: it is under way on another machine, which nobody can reach from here.
    """
    attempt = turns.latest(store, Attempt, run_id)
    if attempt is None or attempt.state != turns.RUNNING or attempt.is_abandoned():
        return
    holder = attempt.holder
    if not holder.is_alive():
        raise RunError(
            f"run {run_id} is under way in process {holder.process_id} on {holder.name}, and can "
            "only be ended there",
            hint=f"Ask that process: kill -INT {holder.process_id}.",
        )
    os.kill(holder.process_id, signal.SIGINT)


def _other_parameters(asked: Mapping[str, Any], recorded: Mapping[str, Any]) -> str:
    for name, value in asked.items():
        there = recorded.get(name)
        # A text stands for the value that was made of it.
        if there != value and not (isinstance(value, str) and _as_text(there) == _as_text(value)):
            return f"{name}={there!r}, not {value!r}"
    return ""


def _as_text(value: Any) -> str:
    text = str(value)
    try:
        return repr(float(text))
    except ValueError:
        return text.lower()


def _error(store: Store, run_id: str) -> str:
    nodes = [node for node in find_run(store, run_id).nodes if node.state == "failed"]
    return f"{nodes[0].node_id}: {nodes[0].error}" if nodes else ""
