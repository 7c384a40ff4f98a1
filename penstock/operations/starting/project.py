"""Starting the runs of a project: on this machine, or on the Kubeflow Pipelines of a profile."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import IO, Any

from penstock import errors
from penstock.data.files import remote
from penstock.errors import PenstockError, RunError, ServiceError, UnansweredError
from penstock.metadata.databases.addresses import connection_config
from penstock.metadata.protocol import Store
from penstock.metadata.store import connect
from penstock.operations.starting import local
from penstock.operations.starting.protocol import Request, RunState, Started, Starter, check_token
from penstock.project import keras
from penstock.project.config import Config
from penstock.project.profiles import Profile
from penstock.safety.opening import open_below

_CHILD = "penstock.operations.starting.child"
LOGS = ".starts"


def starter_of(config: Config) -> Starter:
    """Return what starts the runs of a project, each where its profile says.

    Runs on this machine are processes of their own, which go on when this one ends. Where one of
    them dies, whoever asks for its token again goes on with it.
    """
    return _ProjectStarter(config)


@dataclass(frozen=True)
class _ProjectStarter:
    config: Config

    def start(self, request: Request, token: str) -> Started:
        check_token(token)
        there = self.read(request, token)
        if there is not None and there.state is not RunState.LOST:
            if there.where == local.WHERE:
                with self._store(request) as store:
                    local.check_same(store, request, token)
            return there
        answer = self._ask_child(request, token)
        started = Started(**{**answer, "state": RunState(answer["state"])})
        # A local run may have come to its end already.
        return self.read(request, token) or started if started.where == local.WHERE else started

    def read(self, request: Request, token: str) -> Started | None:
        profile = self._profile(request)
        if profile.kubeflow is not None:
            from penstock.operations.starting import kubeflow

            return kubeflow.read(profile, token)
        with self._store(request) as store:
            return local.read(store, token)

    def cancel(self, request: Request, token: str) -> None:
        profile = self._profile(request)
        if profile.kubeflow is not None:
            from penstock.operations.starting import kubeflow

            kubeflow.cancel(profile, token)
            return
        with self._store(request) as store:
            local.cancel(store, token)

    def _profile(self, request: Request) -> Profile:
        return self.config.profile(request.profile)

    @contextlib.contextmanager
    def _store(self, request: Request) -> Iterator[Store]:
        address = self._profile(request).metadata_address()
        with connect(connection_config(address)) as metadata:
            yield metadata.store

    def _ask_child(self, request: Request, token: str) -> dict[str, Any]:
        """Have a process start the run, and return what it says when the run is recorded."""
        told = {
            "config": str(self.config.path) if self.config.path else "",
            "request": asdict(request),
            "token": token,
        }
        with _log(self._profile(request), token) as log:
            process = subprocess.Popen(
                # Without the current folder among the places of modules, as `penstock` has it.
                [sys.executable, "-P", "-m", _CHILD],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=keras.child_environment(),
                # Ctrl-C in a terminal is for the one that watches.
                start_new_session=True,
            )
            assert process.stdin is not None
            assert process.stdout is not None
            with process.stdout, contextlib.suppress(BrokenPipeError), process.stdin:
                process.stdin.write(json.dumps(told) + "\n")
                process.stdin.flush()
                line = process.stdout.readline()
            # Somebody has to ask for its exit code when it ends.
            threading.Thread(target=process.wait, daemon=True).start()
            if line:
                return _content(json.loads(line))
            code = process.wait()
            raise UnansweredError(
                f"the process that was to start run {token} ended with code {code} before it had "
                f"said that it did: {_end_of(log)}"
            )


def _content(answer: dict[str, Any]) -> dict[str, Any]:
    """Return what the process says of the run.

    Raises:
      PenstockError: it could not be started.
    """
    if "started" in answer:
        return dict(answer["started"])
    error = answer["error"]
    kind: Any = getattr(errors, error["kind"], RunError)
    message = error["message"]
    if "transient" in error:
        service_error = kind if issubclass(kind, ServiceError) else ServiceError
        raise service_error(message, status=error["status"], transient=error["transient"])
    # Others have arguments of their own; the message has all that they say.
    raise (kind if kind.__init__ is PenstockError.__init__ else RunError)(message)


@contextlib.contextmanager
def _log(profile: Profile, token: str) -> Iterator[IO[bytes]]:
    """Open the file of what a run's process prints, beside the folders of the pipelines."""
    root = profile.root_of(LOGS)
    if remote.is_remote(root):
        with tempfile.TemporaryFile() as file:
            yield file
        return
    os.makedirs(root, exist_ok=True)
    with open_below(root, os.path.join(root, f"{token}.log"), "a+b") as file:
        yield file


def _end_of(log: IO[bytes]) -> str:
    log.seek(0)
    lines = log.read().decode("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else "it printed nothing"
