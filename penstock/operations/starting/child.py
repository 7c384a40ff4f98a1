"""A process of its own that starts one run: `python -m penstock.operations.starting.child`.

It is told what on standard input, and answers with one line of JSON as soon as the run is recorded
where it runs: {"started": ...} or {"error": ...}. A run on this machine is carried out by this very
process, which goes on when whoever started it is gone; what it prints goes to its standard error.
User code is loaded here, so that each run has the code as it is then.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TextIO

from penstock.errors import BusyError, PenstockError, RunError, ServiceError
from penstock.operations.starting import kubeflow, local
from penstock.operations.starting.preparing import prepare
from penstock.operations.starting.protocol import Request, RunState, Started
from penstock.project.config import Config, read_config
from penstock.project.limits import REFUSE, WAIT
from penstock.runners.local.display import NodeView, PlainLines
from penstock.runners.local.limiting import LimitReached


@dataclass
class Answer:
    """The line that whoever started this process reads; it is written once."""

    stream: TextIO
    given: bool = field(default=False, init=False)

    def started(self, started: Started) -> None:
        """Say that the run is recorded."""
        self._give({"started": {**vars(started), "state": started.state.value}})

    def failed(self, error: PenstockError) -> None:
        """Say why it could not be started."""
        content: dict[str, Any] = {"kind": type(error).__name__, "message": str(error)}
        if isinstance(error, ServiceError):
            content.update(status=error.status, transient=error.transient)
        self._give({"error": content})

    def _give(self, content: Mapping[str, Any]) -> None:
        if self.given:
            return
        self.given = True
        # Nobody may be there any more to read it.
        with contextlib.suppress(BrokenPipeError):
            print(json.dumps(content), file=self.stream, flush=True)


class _Announcing(PlainLines):
    """Lines of a run, which begin when the run is recorded."""

    def __init__(self, answer: Answer, run_id: str) -> None:
        super().__init__()
        self._answer = answer
        self._run_id = run_id

    def start(self, title: str, nodes: Mapping[str, NodeView]) -> None:
        """Say that the run is there."""
        self._answer.started(Started(self._run_id, local.WHERE, RunState.RUNNING))
        super().start(title, nodes)


def main() -> None:
    """Start the run that standard input names."""
    # What user code prints while it is imported is no answer.
    answer = Answer(os.fdopen(os.dup(1), "w", encoding="utf-8"))
    os.dup2(2, 1)
    try:
        told = json.loads(sys.stdin.readline())
    except ValueError:
        return  # who was to tell has died
    path = Path(told["config"]) if told["config"] else None
    try:
        config = read_config(path)
        request = Request(**told["request"])
        definition = config.load_pipeline(request.pipeline)
        if config.profile(request.profile).kubeflow is not None:
            answer.started(kubeflow.start(config, definition, request, told["token"]))
        else:
            _run(config, definition, request, told["token"], answer)
    except PenstockError as error:
        answer.failed(error)
        sys.stderr.write(f"error: {error}\n")
        sys.exit(1)


def _run(config: Config, definition: Any, request: Request, token: str, answer: Answer) -> None:
    """Run a pipeline under the token's name, or go on with the run that a process has left."""
    from penstock.metadata.store import connect, connection_config

    profile = config.profile(request.profile)
    prepared = prepare(
        definition,
        request.pipeline,
        profile,
        request.parameters,
        display=_Announcing(answer, token),
        without_deployment=request.without_deployment,
    )
    connection = connection_config(profile.metadata_address())
    with connect(connection) as metadata:
        is_recorded = local.is_recorded(metadata.store, token)
    limit = prepared.runner.limit
    # Whoever has asked waits for an answer, and comes again.
    at_once = limit and replace(limit, when_reached=REFUSE)
    runner = replace(prepared.runner, limit=at_once)
    try:
        if is_recorded:
            runner.resume(prepared.compiled, token, raise_on_failure=False)
        else:
            runner.run(
                prepared.compiled,
                parameters=prepared.parameters,
                definition=request.pipeline,
                run_id=token,
                raise_on_failure=False,
            )
    except LimitReached as error:
        if limit and limit.when_reached == WAIT:
            raise BusyError(error.message, transient=True) from None
        raise
    except RunError:
        # Another process may have been first; then the run is there, which is all that was asked.
        with connect(connection) as metadata:
            there = local.read(metadata.store, token)
        if there is None or there.state is RunState.LOST:
            raise
        answer.started(there)


if __name__ == "__main__":
    main()
