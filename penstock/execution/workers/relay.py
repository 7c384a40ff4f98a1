"""A process between a worker and its log, for work that knows secrets.

All that the worker and its children write goes through a pipe to the relay, which writes it to the
log with references in the place of secrets. It is no part of the worker's process group, so that it
outlives a worker that is killed and writes all that was in the pipe.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
from dataclasses import dataclass

from penstock.safety.secrets import Redaction

_PATIENCE_SECONDS = 10.0
_PIECE = 1 << 16


@dataclass
class Relay:
    """The nursery's side of a relay; `input` is where the worker writes."""

    process_id: int
    input: int
    control: socket.socket

    def hand_over(self) -> None:
        """Close the input on this side: the worker has it now."""
        os.close(self.input)

    def settle(self) -> None:
        """Wait until all that was written so far is in the log."""
        if self.control.fileno() < 0:
            return
        with contextlib.suppress(OSError):
            self.control.sendall(b"?")
        readable, _, _ = select.select([self.control], [], [], _PATIENCE_SECONDS)
        answer = b"late"
        if readable:
            with contextlib.suppress(OSError):
                answer = self.control.recv(1)
        if not answer:
            self.control.close()
            os.waitpid(self.process_id, 0)


def start(log: int, redaction: Redaction) -> Relay:
    """Start a relay to a log, of which it has a copy: this side closes its own."""
    output, input_ = os.pipe()
    near, far = socket.socketpair()
    process_id = os.fork()
    if process_id:
        os.close(output)
        far.close()
        return Relay(process_id, input_, near)
    try:
        os.setsid()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        control = far.detach()
        _close_all_but(output, control, log)
        _run(output, control, log, redaction)
    finally:
        os._exit(0)


def _close_all_but(*kept: int) -> None:
    # Other processes wait for the ends of pipes that the nursery had open.
    begin = 3
    for descriptor in sorted(kept):
        os.closerange(begin, descriptor)
        begin = descriptor + 1
    os.closerange(begin, os.sysconf("SC_OPEN_MAX"))


def _run(source: int, control: int, log: int, redaction: Redaction) -> None:
    os.set_blocking(source, False)
    waiting = [source, control]
    held = b""
    while True:
        ready, _, _ = select.select(waiting, [], [])
        held, ended = _pass_on(source, log, redaction, held)
        if ended:
            return
        if control in ready:
            try:
                command = os.read(control, 1)
                if command:
                    os.write(control, b"!")
            except OSError:
                command = b""
            if not command:  # the nursery is gone; the worker's children may still write
                waiting = [source]


def _pass_on(source: int, log: int, redaction: Redaction, held: bytes) -> tuple[bytes, bool]:
    """Write all that is in the pipe; return what must wait, and whether the pipe has ended."""
    while True:
        try:
            piece = os.read(source, _PIECE)
        except BlockingIOError:
            return held, False
        done, held = redaction.part(held + piece, last=not piece)
        # A log that cannot be written must not stop the work.
        with contextlib.suppress(OSError):
            while done:
                done = done[os.write(log, done) :]
        if not piece:
            return b"", True
