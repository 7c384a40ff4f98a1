"""Starting a daemon: one at a time has its place, from the moment that it is started."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from penstock.execution.daemon.places import Place
from penstock.safety import locks
from penstock.safety.private import listening

# So long one that ends may take to leave its place.
_PATIENCE_SECONDS = 2.0
READY = b"ready"


@dataclass(frozen=True)
class Options:
    """Whose daemon it is, what it imports first, and how long it stays without a run.

    A run that it differs from has it make room for another one, if it has had no run for
    `yield_seconds`.
    """

    project: str
    preload: tuple[str, ...] = ()
    idle_seconds: float = 1800.0
    yield_seconds: float = 60.0


@dataclass(frozen=True)
class Starting:
    """A daemon that is starting: `told` says when it is ready."""

    process: subprocess.Popen[bytes]
    told: int

    def wait(self) -> bool:
        """Return when it is ready or has ended; whether it is ready."""
        with open(self.told, "rb") as told:
            return told.read() == READY

    def wait_for_nothing(self) -> None:
        """Leave it to itself."""
        os.close(self.told)
        self.process.returncode = 0  # nobody asks for it, and Python is not to complain of that


def start(
    options: Options,
    place: Place,
    environment: Mapping[str, str],
    wait_seconds: float = _PATIENCE_SECONDS,
) -> Starting | None:
    """Start a daemon, in a session of its own and with nothing of this process's.

    It has its place, and can be asked, from here on: it answers when it has imported. None where
    another one has the place.

    Raises:
      OSError: no file can be made in the place.
      StorageError: it is on a file system without locks.
    """
    opening = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
    lock = os.open(place.lock, opening, 0o600, dir_fd=place.folder)
    try:
        if not locks.lock(lock, wait_seconds):
            return None
        say_busy(lock)
        # Whoever has the place removes what another one has left in it.
        with listening(place.folder, place.socket) as listener:
            return _start(options, place, environment, lock, listener.fileno())
    finally:
        os.close(lock)


def _start(
    options: Options, place: Place, environment: Mapping[str, str], lock: int, listener: int
) -> Starting:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
    log = os.open(place.log, flags, 0o600, dir_fd=place.folder)
    told, tells = os.pipe()
    given = tells, lock, listener
    try:
        process = subprocess.Popen(
            [
                sys.executable,
                *subprocess._args_from_interpreter_flags(),  # type: ignore[attr-defined]
                *("-m", "penstock.execution.daemon", *map(str, given)),
                *(options.project, str(options.idle_seconds), str(options.yield_seconds)),
                *options.preload,
            ],
            env=dict(environment),
            cwd=place.path,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=given,
            start_new_session=True,
        )
    except BaseException:
        os.close(told)
        raise
    finally:
        os.close(log)
        os.close(tells)
    return Starting(process, told)


def say_ready(lock: int) -> None:
    """Say that who has the place answers at once: by the size of its lock, which takes no room."""
    os.ftruncate(lock, 1)


def say_busy(lock: int) -> None:
    """Say that who has the place is importing."""
    os.ftruncate(lock, 0)


def is_ready(place: Place) -> bool:
    """Whether who has the place answers at once."""
    try:
        status = os.stat(place.lock, dir_fd=place.folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return status.st_size > 0
