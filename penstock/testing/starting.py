"""A double of what starts runs, which keeps what it was asked in a folder."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from penstock.errors import ParameterError, UnansweredError
from penstock.operations.starting.protocol import Request, RunState, Started, check_token

_WHERE = "fake"


@dataclass(frozen=True)
class FakeStarter:
    """A `penstock.operations.starting.Starter` that starts nothing, and is strict.

    Each run is a file of a folder, so that processes can share it and be killed. A token that is
    none, or that stands for another request, is refused. Runs are running until `end` says how they
    ended. `unanswered` makes so many first calls of `start` do their work and give no answer.
    """

    folder: Path
    unanswered: int = 0

    def start(self, request: Request, token: str) -> Started:
        """Start the token's run, find it, or go on with it where it was lost."""
        check_token(token)
        asked = json.loads(json.dumps(asdict(request)))
        self.folder.mkdir(parents=True, exist_ok=True)
        self._note("asked", token)
        if self._create(token, asked):
            self._note("started", token)
        content = self._content(token)
        if content["request"] != asked:
            raise ParameterError(
                f"run {token} has been started already, with another request: "
                f"{content['request']}, not {asked}"
            )
        if content["state"] == RunState.LOST.value:
            content.update(state=RunState.RUNNING.value, tries=content["tries"] + 1)
            self._put(token, content)
        if len(self.asked) <= self.unanswered:
            raise UnansweredError(f"there is no answer for run {token}")
        return _started(token, content)

    def read(self, request: Request, token: str) -> Started | None:
        """Return how the token's run stands."""
        check_token(token)
        if not self._path(token).exists():
            return None
        return _started(token, self._content(token))

    def cancel(self, request: Request, token: str) -> None:
        """End the token's run at once."""
        there = self.read(request, token)
        if there is not None and not there.state.final:
            self.end(token, RunState.CANCELED)

    def end(self, token: str, state: RunState = RunState.SUCCEEDED, error: str = "") -> None:
        """Say how a run has ended, or that it was lost."""
        self._put(token, {**self._content(token), "state": state.value, "error": error})

    @property
    def asked(self) -> list[str]:
        """The tokens of all calls of `start`, in their order."""
        return self._noted("asked")

    @property
    def started(self) -> list[str]:
        """The tokens of the runs that were started, in their order: each once, or it was twice."""
        return self._noted("started")

    def request(self, token: str) -> Request:
        """Return what a run was started with."""
        return Request(**self._content(token)["request"])

    def runs(self) -> Mapping[str, Started]:
        """Return all runs by their tokens, in the order of their start."""
        return {token: _started(token, self._content(token)) for token in self.started}

    def _path(self, token: str) -> Path:
        return self.folder / f"{token}.json"

    def _content(self, token: str) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(self._path(token).read_text(encoding="utf-8"))
        return content

    def _create(self, token: str, asked: Mapping[str, Any]) -> bool:
        """Make the file of a run, whole or not at all; return whether it was not there."""
        content = {"request": asked, "state": RunState.RUNNING.value, "tries": 1, "error": ""}
        new = self._written(content)
        try:
            os.link(new, self._path(token))
        except FileExistsError:
            return False
        finally:
            new.unlink()
        return True

    def _put(self, token: str, content: Mapping[str, Any]) -> None:
        self._written(content).replace(self._path(token))

    def _written(self, content: Mapping[str, Any]) -> Path:
        path = self.folder / f".{secrets.token_hex(8)}"
        path.write_text(json.dumps(content), encoding="utf-8")
        return path

    def _note(self, what: str, token: str) -> None:
        # Short lines are appended whole, whoever else appends.
        with open(self.folder / f"{what}.log", "a", encoding="utf-8") as file:
            file.write(f"{token}\n")

    def _noted(self, what: str) -> list[str]:
        path = self.folder / f"{what}.log"
        return path.read_text(encoding="utf-8").split() if path.exists() else []


def _started(token: str, content: Mapping[str, Any]) -> Started:
    state = RunState(content["state"])
    return replace(Started(token, _WHERE, state), tries=content["tries"], error=content["error"])
