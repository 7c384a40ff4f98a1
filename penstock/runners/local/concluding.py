"""The end of a run: what is recorded of it, and its report."""

from __future__ import annotations

import contextlib
from dataclasses import replace

from penstock.errors import StoreError
from penstock.execution.elapsed import BOOKKEEPING, DEFINITION, REPORT
from penstock.execution.recovery import end_executions
from penstock.execution.schedule import State
from penstock.execution.workers.failures import describe
from penstock.metadata import turns
from penstock.metadata.databases.patience import StoreAway
from penstock.metadata.run_requests import record_state
from penstock.metadata.runs import EventDelivery, record_elapsed, record_events
from penstock.runners.local.result import RunFailed, RunResult
from penstock.runners.local.running import Run


def conclude(running: Run, raise_on_failure: bool, *, resumed: bool = False) -> RunResult:
    """Run to the end and record how it came to it, whatever happens."""
    try:
        result = running.run(resumed=resumed)
    except BaseException as ended_by:
        if isinstance(ended_by, StoreAway):
            running.waiting.give_up(ended_by)
        # What ended the run is told, not what comes of it in a store that may be its reason.
        with contextlib.suppress(Exception):
            _record_end(running, State.FAILED, "the run ended in an error", in_error=True)
            _write_report(running)
        if isinstance(ended_by, StoreAway):
            go_on = f"penstock resume {running.pipeline.run_id}"
            raise StoreAway(
                ended_by.message, hint=f"When it answers again, go on with the run: {go_on}."
            ) from ended_by
        raise
    error = "" if result.succeeded else RunFailed(result).message
    events = _record_end(running, result.state, error)
    running.elapsed.passed(BOOKKEEPING)
    path, problem = _write_report(running)
    running.elapsed.passed(REPORT)
    running.elapsed.add(DEFINITION, running.setup.definition_seconds)
    with contextlib.suppress(StoreError):  # the run stands without it
        record_elapsed(running.metadata.store, running.pipeline.run_id, running.elapsed.seconds)
    running.waiting.over()
    result = replace(result, events=events, report=path, report_error=problem)
    if raise_on_failure and not result.succeeded:
        raise RunFailed(result)
    return result


def _write_report(running: Run) -> tuple[str, str]:
    """Write the report of a run that has ended, and return its path, or why there is none.

    Whatever fails in it, the run stands.
    """
    pipeline, store = running.pipeline, running.metadata.store
    try:
        from penstock.report import report_path, write_report

        path = report_path(store, pipeline.run_id)
        write_report(store, pipeline.run_id, path)
    except Exception as error:
        return "", describe(error, pipeline.root)
    return path, ""


def _record_end(
    running: Run, state: State, error: str, *, in_error: bool = False
) -> EventDelivery | None:
    """Record how a run ended, unless somebody else has it in hand by now."""
    store, run_id, events = running.metadata.store, running.pipeline.run_id, running.setup.events
    if turns.is_ours(store, running.attempt):
        if in_error:
            end_executions(store, run_id, error)
        record_state(store, run_id, state.value)
        turns.end(store, running.attempt, state.value)
    if running.setup.telemetry is not None:
        running.setup.telemetry.run_ended(state.value, error)
    if events is None:
        return None
    delivery = events.run_ended(state.value, error)
    record_events(store, run_id, delivery)
    return delivery
