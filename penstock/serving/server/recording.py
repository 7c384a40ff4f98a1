"""What a server tells its log: as much as the log takes, and never at the cost of an answer."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import re
import secrets
import socket
import subprocess
import time
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from penstock.serving.frames import Received
from penstock.serving.log.policy import LogPolicy, time_in
from penstock.serving.log.process import (
    ANSWERED,
    MEASURED,
    POLICY,
    SETTLED,
    SIGNATURE,
    packed,
    told,
)
from penstock.serving.log.rows import Answered
from penstock.serving.server.processes import spawn

_log = logging.getLogger("penstock.serving")

# What the log has not read yet; more than that is not told.
_MOST_WAITING = 64 << 20
# What a request takes in memory beside its body, at the least.
_BESIDE_BODY = 1024
_PAUSE = 1.0
_END_SECONDS = 30.0
# What a header of HTTP may have beyond these is nothing to find a request by.
_ID = re.compile(rb"[!-~]{1,128}")
# Measures that wait while the log starts again: a day of a model's.
_MOST_MEASURES = 1440


@dataclass
class Recorder:
    """Tells a process of requests that were answered, and starts it again where it ends.

    `dropped` counts requests that the policy wanted, and that are not in the log: it had no room
    for them, or ended before they were in a file.
    """

    policy: LogPolicy
    dropped: int = 0
    process: subprocess.Popen[bytes] | None = None
    _transport: asyncio.Transport | None = None
    _is_ending: bool = False
    _task: asyncio.Task[None] | None = None

    def __post_init__(self) -> None:
        self._told: set[tuple[str, int]] = set()
        self._measures: deque[Mapping[str, Any]] = deque(maxlen=_MOST_MEASURES)
        # What is told once the process runs again.
        self._waiting: list[tuple[Answered, Mapping[str, Any]]] = []
        self._waiting_bytes = 0
        # By model: requests that are in no file yet, and those that will be in none.
        self._unsettled: Counter[str] = Counter()
        self._lost: Counter[str] = Counter()
        self._prefix, self._numbers = secrets.token_hex(5), itertools.count()

    async def start(self) -> None:
        """Start the process that keeps the log."""
        ours, theirs = socket.socketpair()
        with theirs:
            self.process = spawn("penstock.serving.log.process", theirs)
        ours.setblocking(False)
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_connection(lambda: _Channel(self), sock=ours)
        self._told = set()
        self._transport.write(told(POLICY, self.policy.to_json()))
        waiting, self._waiting, self._waiting_bytes = self._waiting, [], 0
        for answered, facts in waiting:
            if not self.record(answered, facts):
                self._lost[answered.model] += 1
        self._tell_measures()

    def request_id(self, given: bytes | None) -> str:
        """Return the id of a request: that which its caller has given, or a new one."""
        if given and _ID.fullmatch(given):
            return given.decode("ascii")
        return f"{self._prefix}-{next(self._numbers)}"

    def time_of(self, headers: Iterable[tuple[bytes, bytes]]) -> float:
        """Return of what time a request is, in seconds since 1970: now, if it does not say."""
        wanted = self.policy.time_header.encode()
        given = next((value for name, value in headers if name == wanted), None) if wanted else None
        said = time_in(given.decode("latin-1")) if given is not None else None
        return time.time() if said is None else said

    def record(self, answered: Answered, facts: Mapping[str, Any]) -> bool:
        """Tell the log of a request, and return whether it had room.

        `facts` are those of the version that answered.
        """
        transport = self._transport
        waiting = self._waiting_bytes if transport is None else transport.get_write_buffer_size()
        if waiting > _MOST_WAITING:
            self.dropped += 1
            return False
        if transport is None:
            self._waiting.append((answered, facts))
            self._waiting_bytes += len(answered.body) + _BESIDE_BODY
            return True
        key = (answered.model, answered.version)
        if key not in self._told:
            self._told.add(key)
            signature = facts.get("signature")
            entry = {"model": key[0], "version": key[1], "signature": signature}
            transport.write(told(SIGNATURE, entry))
        transport.write(told(ANSWERED, packed(answered)))
        self._unsettled[answered.model] += 1
        return True

    def settled(self, requests: Mapping[str, tuple[int, int]]) -> None:
        """Take how many requests of models are in files or lost, and how many of them lost."""
        for model, (count, lost) in requests.items():
            self._unsettled[model] -= count
            self._lost[model] += lost
            self.dropped += lost

    def take_lost(self, model: str) -> int:
        """Return how many requests of a model the log has lost since this was asked."""
        return self._lost.pop(model, 0)

    def measure(self, measures: Mapping[str, Any]) -> None:
        """Tell the log what was measured, once it runs."""
        self._measures.append(measures)
        self._tell_measures()

    def _tell_measures(self) -> None:
        while self._transport is not None and self._measures:
            self._transport.write(told(MEASURED, self._measures.popleft()))

    async def stop(self) -> None:
        """Have what was told written, and end the process."""
        self._is_ending = True
        if self._task is not None:
            self._task.cancel()
        if self._transport is None and self.process is not None:
            await self.start()  # it had ended, and something may wait for it
        if self._transport is not None:
            self._transport.close()  # after all that was told is sent
        if self.process is not None:
            try:
                await asyncio.to_thread(self.process.wait, _END_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                await asyncio.to_thread(self.process.wait)

    def hung_up(self) -> None:
        """Start the process again: it has ended by itself."""
        self._transport = None
        if not self._is_ending:
            lost, self._unsettled = self._unsettled, Counter()
            self._lost.update(lost)
            self.dropped += lost.total()
            _log.warning(
                "the process of the prediction log has ended, with %d requests that were in no "
                "file yet, and is started again",
                lost.total(),
            )
            self._task = asyncio.get_running_loop().create_task(self._again())

    async def _again(self) -> None:
        if self.process is not None:
            await asyncio.to_thread(self.process.wait)
        await asyncio.sleep(_PAUSE)
        await self.start()


def recorders_of(logs: Mapping[str, LogPolicy]) -> dict[str, Recorder]:
    """Return a recorder for each model by name: models of one policy share theirs."""
    recorders: list[Recorder] = []
    of_models = {}
    for name, policy in logs.items():
        known = next((one for one in recorders if one.policy == policy), None)
        if known is None:
            known = Recorder(policy)
            recorders.append(known)
        of_models[name] = known
    return of_models


class _Channel(asyncio.Protocol):
    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._received = Received()

    def data_received(self, data: bytes) -> None:
        for frame in self._received.add(data):
            if frame.kind == SETTLED:
                self._recorder.settled(json.loads(frame.content))

    def connection_lost(self, exc: Exception | None) -> None:
        self._recorder.hung_up()
