"""The daemon itself: one thread that imports, answers, and forks.

No thread is started here, and nothing is computed: what it has imported is as it was right after
the import, so that a copy can begin with it. Whether that holds is looked at before each fork.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import resource
import selectors
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from penstock.errors import PenstockError
from penstock.execution.daemon import installed, messages, starting, surroundings, taking_on
from penstock.execution.daemon.places import Place, opened
from penstock.execution.daemon.starting import Options
from penstock.execution.elapsed import process_began
from penstock.execution.workers import nursery_process
from penstock.execution.workers.origin import reason_against_copies
from penstock.safety.private import inherited, user_of_peer

# So long a message may take; nobody is served meanwhile.
_PATIENCE_SECONDS = 2.0
# So often it is looked whether the daemon is still wanted.
_LOOK_SECONDS = 2.0
# What comes with a run's request beside the streams: its connection, itself, its folder.
_CONNECTION, _RUN, _FOLDER, *_STREAMS = range(6)


@dataclass(frozen=True)
class _Lent:
    """A nursery that is lent: `ended` is readable when it has ended, `run` when its run has."""

    process: BaseProcess
    ended: int
    run: int


@dataclass
class _Imported:
    """What has been imported ahead, and what runs have asked for meanwhile."""

    noted: installed.Installed
    modules: list[str] = field(default_factory=list)
    wanted: list[str] = field(default_factory=list)

    def want(self, modules: Sequence[str]) -> None:
        """Note what is to be imported, unless it is the user's own."""
        known = {*self.modules, *self.wanted}
        self.wanted += [m for m in modules if m not in known and installed.is_installed(m)]

    def next(self) -> None:
        """Import one of those that are wanted."""
        since = installed.began()
        module = self.wanted.pop(0)
        nursery_process.import_ahead(module)
        self.modules.append(module)
        self.noted.note(since)


class Daemon:
    """Lends runs nurseries that are copies of this process, until it is not wanted any more."""

    def __init__(
        self,
        options: Options,
        place: Place,
        lock: int,
        listener: socket.socket,
        environment: Mapping[str, str],
    ) -> None:
        self._options, self._place, self._lock = options, place, lock
        self._environment = dict(environment)
        self._surroundings = surroundings.of_this_process(options.project, environment)
        self._folder = os.stat(options.project)
        self._path = tuple(sys.path)
        self._imported = _Imported(installed.Installed(self._path))
        self._listener = listener
        self._selector = selectors.DefaultSelector()
        self._listen_to(self._listener, self._accept)
        self._lent: list[_Lent] = []
        self._count = 0
        self._began, self._used = time.time(), time.monotonic()
        self._ending = False

    def run(self, ready: Callable[[], None]) -> None:
        """Import, say that it is ready, and serve until the end."""
        nursery_process.before_imports()
        for module in nursery_process.OF_PIPELINES:
            nursery_process.import_ahead(module)
        self._imported.noted.note(process_began())
        self._imported.want(self._options.preload)
        while self._imported.wanted:
            self._imported.next()
        starting.say_ready(self._lock)
        ready()
        while not (self._ending and not self._lent):
            for key, _ in self._selector.select(min(_LOOK_SECONDS, self._options.idle_seconds)):
                key.data()
            if not self._ending and not self._is_wanted():
                self._end()
            if self._imported.wanted and not self._lent and not self._ending:
                self._import_one()

    def _import_one(self) -> None:
        """Import what a run has asked for; others do not wait for it."""
        starting.say_busy(self._lock)
        self._imported.next()
        if not self._imported.wanted:
            starting.say_ready(self._lock)

    def _listen_to(self, source: Any, then: Callable[[], None]) -> None:
        self._selector.register(source, selectors.EVENT_READ, then)

    def _is_wanted(self) -> bool:
        try:
            if not os.path.samestat(os.stat(self._options.project), self._folder):
                return False
        except OSError:
            return False
        return not self._is_unused_for(self._options.idle_seconds)

    def _is_unused_for(self, seconds: float) -> bool:
        return not self._lent and time.monotonic() - self._used >= seconds

    def _end(self) -> None:
        """Let nobody come any more; another daemon may take the place."""
        self._ending = True
        self._selector.unregister(self._listener)
        self._listener.close()
        os.unlink(self._place.socket, dir_fd=self._place.folder)
        os.close(self._lock)

    def _renew(self) -> None:
        """Start another daemon with the code as it is now."""
        self._end()
        modules = tuple(dict.fromkeys([*self._imported.modules, *self._imported.wanted]))
        options = replace(self._options, preload=modules)
        anew = starting.start(options, self._place, self._environment)
        if anew is not None:
            anew.wait_for_nothing()

    def _accept(self) -> None:
        asking, _ = self._listener.accept()
        with asking:
            asking.settimeout(_PATIENCE_SECONDS)
            if user_of_peer(asking) != os.geteuid():
                return
            try:
                message, files = messages.receive(asking)
            except OSError:
                return
            try:
                self._answer(asking, message, files)
            except OSError:  # who asked has gone, or asks in another way
                pass
            finally:
                messages.close(files)

    def _answer(self, asking: socket.socket, message: Mapping[str, Any], files: list[int]) -> None:
        differs = surroundings.difference(self._surroundings, message.get("surroundings", {}))
        if message.get("ask") == "status":
            messages.send(asking, {**self._status(), "differs": differs})
        elif message.get("ask") == "stop":
            messages.send(asking, self._status())
            self._end()
        elif message.get("ask") == "nursery" and len(files) > max(_STREAMS):
            self._lend_or_refuse(asking, message, files, differs)

    def _lend_or_refuse(
        self, asking: socket.socket, message: Mapping[str, Any], files: list[int], differs: str
    ) -> None:
        changed = "" if differs else self._imported.noted.change()
        reason = differs or changed or reason_against_copies()
        if differs and self._is_unused_for(self._options.yield_seconds):
            messages.send(asking, {"refused": f"{reason}; it makes room", "made_room": True})
            self._end()
        elif reason:
            anew = "; it is started anew" if changed else ""
            messages.send(asking, {"refused": f"{reason}{anew}"})
        else:
            self._lend(asking, files)
        if not differs:
            self._imported.want(message.get("preload", ()))
        if changed:
            self._renew()

    def _status(self) -> dict[str, Any]:
        return {
            "process_id": os.getpid(),
            "began": self._began,
            "imported": self._imported.modules,
            "memory_bytes": _resident_bytes(),
            "lent": self._count,
            "under_way": len(self._lent),
            "idle_seconds": self._options.idle_seconds,
            "refuses": reason_against_copies(),
        }

    def _lend(self, asking: socket.socket, files: list[int]) -> None:
        context = multiprocessing.get_context("fork")
        process = context.Process(target=self._be_nursery, args=(asking, files))
        process.start()
        assert process.pid is not None  # it has been started
        lent = _Lent(process, os.pidfd_open(process.pid), os.dup(files[_RUN]))
        self._lent.append(lent)
        self._count += 1
        self._used = time.monotonic()
        self._listen_to(lent.ended, lambda: self._take_back(lent))
        self._listen_to(lent.run, lambda: self._end_of_run(lent))

    def _end_of_run(self, lent: _Lent) -> None:
        """End a nursery whose run has ended, or was killed: it may be importing, and not hear."""
        self._selector.unregister(lent.run)
        lent.process.kill()

    def _take_back(self, lent: _Lent) -> None:
        lent.process.join()
        lent.process.close()
        for file in (lent.ended, lent.run):
            if file in self._selector.get_map():
                self._selector.unregister(file)
            os.close(file)
        self._lent.remove(lent)
        self._used = time.monotonic()

    def _be_nursery(self, asking: socket.socket, files: list[int]) -> None:
        """Be a run's nursery, in a copy of this process."""
        for lent in self._lent:
            messages.close((lent.ended, lent.run))
        self._selector.close()
        self._listener.close()
        messages.close((self._lock, self._place.folder))
        # No run's variables, which may be secrets, are ever in the daemon itself.
        messages.send(asking, {"forked": True})
        told, _ = messages.receive(asking)
        try:
            streams = [files[number] for number in _STREAMS]
            prepared = taking_on.take_on(told["run"], streams, files[_FOLDER], self._path)
        except taking_on.NotTakenOn as error:
            messages.send(asking, {"refused": str(error)})
            return
        connection = Connection(files.pop(_CONNECTION))
        own = os.pidfd_open(os.getpid())
        messages.send(asking, {"process_id": os.getpid()}, [own])
        asking.close()
        messages.close([own, *files])
        taking_on.import_main(prepared)
        nursery_process.take_signals()
        nursery_process.serve(connection, told["preload"], told["log_path"])


def main(arguments: Sequence[str]) -> int:
    """Be the daemon that `starting.start` starts."""
    environment = dict(os.environ)
    *numbers, project, idle_seconds, yield_seconds = arguments[:6]
    tells, lock, listening = map(int, numbers)
    for file in (tells, lock, listening):
        os.set_inheritable(file, False)
    # The folder of a process that is started by a module's name comes first: nothing is there.
    sys.path[:] = [path for path in sys.path if path not in ("", os.getcwd())]

    def ready() -> None:
        with contextlib.suppress(BrokenPipeError):  # nobody waits for one that came by itself
            os.write(tells, starting.READY)
        os.close(tells)

    with opened(project, environment) as place, inherited(listening) as listener:
        seconds = float(idle_seconds), float(yield_seconds)
        options = Options(project, tuple(arguments[6:]), *seconds)
        try:
            Daemon(options, place, lock, listener, environment).run(ready)
        except PenstockError as error:
            sys.stderr.write(f"{error}\n")
            return 1
    return 0


def _resident_bytes() -> int:
    with open("/proc/self/statm", encoding="utf-8") as file:
        return int(file.read().split()[1]) * resource.getpagesize()
