"""Runs, several at once and one after the other, whose processes, disk and database are attacked.

As a script it is the origin of the processes that run: it has imported everything and forks one
for each line that it reads, `run ID` or `resume ID`.

    python chaos_of_runs.py FOLDER STORE
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import select
import signal
import subprocess
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from penstock import LocalRunner
from penstock._tfx import metadata_store_pb2 as proto
from penstock.errors import PenstockError
from penstock.execution import contents
from penstock.metadata.runs import find_run, list_runs
from penstock.metadata.store import connect, connection_config
from penstock.testing import Silent
from penstock_support import crash_components as crashing
from penstock_support.processes import Family
from penstock_support.servers import Instance

SLOTS = 8
DONE, ABSENT, KILLED = "done", "absent", "killed"
# What a run leaves, by node: its outputs.
OUTPUTS = {"Reads": 1, "Trains": 3, "Pusher": 1}


@dataclass
class Attacked:
    """A folder in which runs are made while they are attacked; `database` may be taken away."""

    folder: Path
    store: str
    seed: int
    database: Instance | None = None
    attacks: Counter[str] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)
    may_fill: bool = False

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.family = Family(__file__, (str(self.folder), self.store))
        self._told = _told_in(self.folder)
        self._told.mkdir()
        self._runs: dict[int, str] = {}
        self._started = 0

    def go_on_for(self, seconds: float) -> None:
        """Run and attack for some time."""
        origin = self._start_origin()
        until = time.monotonic() + seconds
        try:
            while time.monotonic() < until:
                self._attend(origin)
                self._attack(self.random.choice(self._possible()))
                time.sleep(self.random.uniform(0.2, 2))  # what happens between two attacks
        finally:
            self._kill_all()
            origin.communicate()

    def finish(self) -> None:
        """Leave the runs in peace, and go on with each until it has come to its end."""
        for _ in range(3):
            left = [run for run, state in self._recorded().items() if state != DONE]
            if not left:
                return
            origin = self._start_origin()
            for run_id in left:
                self._tell(origin, "resume", run_id)
                self._await(run_id)
            self._kill_all()
            origin.communicate()

    def _possible(self) -> list[Callable[[], None]]:
        attacks = [self._kill_one, self._kill_one, self._kill_one, self._halt_one]
        if self.may_fill:
            attacks.append(self._fill_the_disk)
        if self.database is not None:
            attacks += [self._stop_the_database, self._kill_the_database, self._halt_the_database]
        return attacks

    def _attack(self, attack: Callable[[], None]) -> None:
        self.attacks[attack.__name__.strip("_")] += 1
        attack()

    def _kill_one(self) -> None:
        if processes := self._members():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.random.choice(processes), signal.SIGKILL)

    def _halt_one(self) -> None:
        if processes := self._members():
            halted = self.random.choice(processes)
            with contextlib.suppress(ProcessLookupError):
                os.kill(halted, signal.SIGSTOP)
                time.sleep(self.random.uniform(0.1, 1))  # that is how long it is halted
                os.kill(halted, signal.SIGCONT)

    def _fill_the_disk(self) -> None:
        filler = self.folder / "filler"
        with contextlib.suppress(OSError), open(filler, "wb") as file:
            while True:
                file.write(bytes(1 << 16))
        time.sleep(self.random.uniform(0.2, 1.5))  # that is how long it is full
        filler.unlink()

    def _stop_the_database(self) -> None:
        assert self.database is not None
        self.database.stop()
        time.sleep(self.random.uniform(0.1, 4))  # that is how long it is away
        self.database.start()

    def _kill_the_database(self) -> None:
        assert self.database is not None
        self.database.kill()
        time.sleep(self.random.uniform(0.1, 4))  # that is how long it is away
        self.database.start()

    def _halt_the_database(self) -> None:
        assert self.database is not None
        self.database.halt()
        time.sleep(self.random.uniform(0.1, 4))  # that is how long it is halted
        self.database.go_on()

    def _start_origin(self) -> subprocess.Popen[str]:
        self._runs.clear()
        with open(self._told / "stderr", "a") as errors:
            origin = self.family.start(stdin=subprocess.PIPE, stderr=errors)
        assert origin.stdout is not None
        assert origin.stdout.readline() == "ready\n", origin.communicate()
        self._origin_id = origin.pid
        return origin

    def _members(self) -> list[int]:
        return [number for number in self.family.alive() if number != self._origin_id]

    def _kill_all(self) -> None:
        for number in (self._origin_id, *self._members()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        self.family.wait_for_its_end()

    def _attend(self, origin: subprocess.Popen[str]) -> None:
        """Start another run where one is over, or go on with it where it was not done."""
        for slot in range(SLOTS):
            run_id = self._runs.get(slot)
            if run_id is not None:
                end = self._end_of(run_id)
                if end is None:
                    continue
                self.ends[end] += 1
                if end not in (DONE, ABSENT):
                    self._tell(origin, "resume", run_id)
                    continue
            self._started += 1
            self._runs[slot] = f"run-{self._started}"
            self._tell(origin, "run", self._runs[slot])

    def _tell(self, origin: subprocess.Popen[str], order: str, run_id: str) -> None:
        (self._told / run_id).unlink(missing_ok=True)
        assert origin.stdin is not None
        origin.stdin.write(f"{order} {run_id}\n")
        origin.stdin.flush()

    def _end_of(self, run_id: str) -> str | None:
        """Return how a process at a run ended, None while it works."""
        try:
            told = json.loads((self._told / run_id).read_text())
        except FileNotFoundError:
            return None
        if told.get("traceback"):
            self.errors.append(told["traceback"])
        return str(told["end"])

    def _await(self, run_id: str, seconds: float = 120) -> None:
        until = time.monotonic() + seconds
        while self._end_of(run_id) is None:
            assert time.monotonic() < until, f"{run_id} has not ended"
            time.sleep(0.05)

    def _recorded(self) -> dict[str, str]:
        with connect(connection_config(self.store), create=False) as metadata:
            return {run.run_id: str(run.state) for run in list_runs(metadata.store, most=_ALL)}

    def told(self) -> str:
        """Return what has happened, in a line."""
        attacks, ends = (
            ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
            for counts in (self.attacks, self.ends)
        )
        return f"{self._started} runs; attacks: {attacks}; processes ended: {ends}"

    def wrongs(self) -> list[str]:
        """Return what is lost or double, half or left behind, in words."""
        found = list(self.errors)
        with connect(connection_config(self.store), create=False) as metadata:
            runs = list_runs(metadata.store, most=_ALL)
            for listed in runs:
                run = find_run(metadata.store, listed.run_id)
                if run.state != DONE:
                    said = (self._told / run.run_id).read_text()
                    found.append(f"{run.run_id} is {run.state}: {said}")
                else:
                    found += _wrongs_of_run(metadata.store, run)
            pending = [e for e in metadata.store.get_executions() if e.last_known_state == _RUNNING]
            found += [f"execution {e.id} of {e.type} runs for ever" for e in pending]
        versions = _complete_versions(self.folder / "serving", found)
        if len(versions) != len(runs):
            found.append(f"{len(runs)} runs made {len(versions)} versions")
        left = [
            str(path)
            for path in (self.folder / "root").rglob(".system/*/*/*")
            if path.is_file() and path.stat().st_size
        ]
        found += [f"{path} was left behind" for path in left]
        return found


_ALL = 1_000_000
_RUNNING = proto.Execution.RUNNING


def _wrongs_of_run(store: Any, run: Any) -> Iterator[str]:
    context = store.get_context_by_type_and_name("pipeline_run", run.run_id)
    executions = store.get_executions_by_context(context.id)
    complete = [e for e in executions if e.last_known_state == proto.Execution.COMPLETE]
    by_node = Counter(e.type.rpartition(".")[2] for e in complete)
    if by_node != dict.fromkeys(OUTPUTS, 1):
        yield f"{run.run_id} has executions {dict(by_node)}"
    for execution in complete:
        node = execution.type.rpartition(".")[2]
        events = store.get_events_by_execution_ids([execution.id])
        outputs = {e.artifact_id for e in events if e.type == proto.Event.OUTPUT}
        if len(outputs) != OUTPUTS.get(node):
            yield f"{node} of {run.run_id} has outputs {sorted(outputs)}"
        for artifact in store.get_artifacts_by_id(sorted(outputs)):
            if artifact.state != proto.Artifact.LIVE or not os.path.exists(artifact.uri):
                yield f"{artifact.uri} of {run.run_id} is not there"
            elif contents.recorded(artifact).digest != contents.measure(artifact.uri).digest:
                yield f"{artifact.uri} of {run.run_id} is not what was recorded"


def _complete_versions(serving: Path, found: list[str]) -> list[str]:
    versions = sorted(p for p in serving.iterdir() if not p.name.startswith("."))
    for version in versions:
        files = crashing.files_of(version)
        if files != crashing.MODEL_FILES:
            found.append(f"version {version.name} has {sorted(files)}")
    return [version.name for version in versions]


@contextlib.contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[bool]:
    """Mount a disk of some size in a folder; yield whether that is allowed."""
    folder.mkdir(exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
    is_mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    try:
        yield is_mounted
    finally:
        if is_mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _work(folder: Path, store: str, order: str, run_id: str) -> Mapping[str, Any]:
    runner = LocalRunner(
        pipeline_root=str(folder / "root"), metadata=store, parallelism=2, display=Silent()
    )
    try:
        if order == "resume":
            result = runner.resume(crashing.pushing, run_id, raise_on_failure=False)
        else:
            result = runner.run(
                crashing.pushing,
                parameters={"serving": str(folder / "serving")},
                run_id=run_id,
                cache=False,
                raise_on_failure=False,
            )
    except PenstockError as error:
        text = str(error)
        if "nothing to resume" in text:
            return {"end": DONE}
        if "no run" in text or "no metadata store" in text:
            return {"end": ABSENT}
        return {"end": type(error).__name__, "text": text}
    except Exception:
        return {"end": "raised", "traceback": traceback.format_exc()}
    failed = {node.node_id: node.error for node in result.nodes.values() if node.error}
    return {"end": result.state.value, "failed": failed}


def main(folder: Path, store: str) -> None:
    """Fork a process for each order, and tell of each that is killed."""
    os.set_blocking(0, False)
    print("ready", flush=True)
    runs: dict[int, str] = {}
    waiting = b""
    while True:
        if select.select([0], [], [], 0.05)[0]:
            content = os.read(0, 1 << 16)
            if not content:
                return
            *lines, waiting = (waiting + content).split(b"\n")
            for line in lines:
                order, run_id = line.decode().split()
                process_id = os.fork()
                if not process_id:
                    os.setpgid(0, 0)
                    _note(folder, run_id, _work(folder, store, order, run_id))
                    os._exit(0)
                runs[process_id] = run_id
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                run_id = runs.pop(ended[0])
                if ended[1]:
                    _note(folder, run_id, {"end": KILLED})


def _told_in(folder: Path) -> Path:
    """Return where processes tell how they ended: beside the disk that may be full."""
    return Path(f"{folder}-told")


def _note(folder: Path, run_id: str, told: Mapping[str, Any]) -> None:
    part = _told_in(folder) / f"{run_id}.part"
    part.write_text(json.dumps(told))
    part.rename(part.with_suffix(""))


if __name__ == "__main__":
    from penstock_support.chaos_of_runs import main as run_in_importable_module

    run_in_importable_module(Path(sys.argv[1]), sys.argv[2])
