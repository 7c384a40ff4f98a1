"""What a server tells its log: as much as the log takes, and never at the cost of an answer."""

from __future__ import annotations

import asyncio
import itertools
import logging
import re
import secrets
import socket
import subprocess
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from penstock.serving.log.policy import LogPolicy
from penstock.serving.log.process import ANSWERED, MEASURED, POLICY, SIGNATURE, packed, told
from penstock.serving.log.rows import Answered
from penstock.serving.server.processes import spawn

_log = logging.getLogger("penstock.serving")

# What the log has not read yet; more than that is not told.
_MOST_WAITING = 64 << 20
_PAUSE = 1.0
_END_SECONDS = 30.0
# What a header of HTTP may have beyond these is nothing to find a request by.
_ID = re.compile(rb"[!-~]{1,128}")
# Measures that wait while the log starts again: a day of a model's.
_MOST_MEASURES = 1440


@dataclass
class Recorder:
    """Tells a process of requests that were answered, and starts it again where it ends.

    `dropped` counts requests that the policy wanted, and that the log had no room for.
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
        self._tell_measures()

    def request_id(self, given: bytes | None) -> str:
        """Return the id of a request: that which its caller has given, or a new one."""
        if given and _ID.fullmatch(given):
            return given.decode("ascii")
        return f"{self._prefix}-{next(self._numbers)}"

    def record(self, answered: Answered, facts: Mapping[str, Any]) -> bool:
        """Tell the log of a request, and return whether it had room.

        `facts` are those of the version that answered.
        """
        transport = self._transport
        if transport is None or transport.get_write_buffer_size() > _MOST_WAITING:
            self.dropped += 1
            return False
        key = (answered.model, answered.version)
        if key not in self._told:
            self._told.add(key)
            signature = facts.get("signature")
            entry = {"model": key[0], "version": key[1], "signature": signature}
            transport.write(told(SIGNATURE, entry))
        transport.write(told(ANSWERED, packed(answered)))
        return True

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
            _log.warning("the process of the prediction log has ended, and is started again")
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

    def connection_lost(self, exc: Exception | None) -> None:
        self._recorder.hung_up()
