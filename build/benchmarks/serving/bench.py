"""The prediction server beside MLflow's and KServe's Python server, under wrk.

    python build/benchmarks/serving/bench.py [--rounds N] [--seconds S] [--models KIND,KIND]

installs MLflow and KServe into environments of their own (below `build/benchmarks/.peers`), saves
the same model for each server, and asks them in turn, round by round, with one row a request:
as fast as 1, 16 and 256 connections can, and at one given rate. Then the prediction server alone:
with a shadow or a log, with one that stands still, and through 50 switches of its version. Writes
the tables of docs/serving.md. It needs `wrk`.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

import environments  # noqa: E402  # of the folder that was named just now
from medians import spread  # noqa: E402  # the same

ROOT = HERE.parents[2]
PAGE = ROOT / "docs" / "serving.md"
BEGIN, END = "<!-- measured -->", "<!-- end of measured -->"

SERVERS = ("penstock", "mlflow", "kserve")
NAMES = {
    "penstock": "Penstock",
    "mlflow": "`mlflow models serve`",
    "kserve": "KServe's Python server",
}
KINDS = {"sklearn": "scikit-learn", "savedmodel": "SavedModel"}
REQUIRED = {
    "mlflow": ["mlflow>=3", "scikit-learn", "tensorflow-cpu>=2.18,<2.20"],
    "kserve": ["kserve>=0.14", "scikit-learn", "tensorflow-cpu>=2.18,<2.20", "setuptools<81"],
}
CONNECTIONS = (1, 16, 256)
# What the slowest server can still answer without a queue, and what ours does with a shadow.
RATE, SHADOW_RATE = 150, 1000
SWITCHES = 50
BODY = json.dumps({"instances": [[39.1, 18.7, 181.0, 3750.0]]})


@dataclass(frozen=True)
class Seen:
    """One run of wrk: requests a second, milliseconds, how many failed, CPU ms a request."""

    rate: float
    p50: float
    p99: float
    errors: int
    requests: int
    cpu: float


@dataclass(frozen=True)
class Running:
    """A server that answers at an address."""

    url: str
    process: int

    def memory(self) -> int:
        """Return the bytes of all its processes; what they share is counted once."""
        return sum(_proportional(process) for process in _family(self.process))

    def cpu(self) -> float:
        """Return the seconds that its processes have worked."""
        return sum(_worked(process) for process in _family(self.process))


def python_of(server: str) -> str:
    """Return the Python that has a server, installed if it is not there yet."""
    if server == "penstock":
        return sys.executable
    return str(environments.python_of(server, REQUIRED[server]))


@contextmanager
def serving(server: str, kind: str, model: Path, *more: str) -> Iterator[Running]:
    """Start a server of a model, and wait until it answers."""
    port, python = _free_port(), python_of(server)
    command, path = {
        "penstock": (
            ["-m", "penstock", "serve", f"model={model}", "--port", str(port), *more],
            "/v1/models/model:predict",
        ),
        "mlflow": (
            [
                *("-m", "mlflow", "models", "serve", "--model-uri", str(model)),
                *("--port", str(port), "--env-manager", "local"),
            ],
            "/invocations",
        ),
        "kserve": (
            [str(HERE / "kserve_server.py"), kind, str(model), "--http_port", str(port)],
            "/v1/models/model:predict",
        ),
    }[server]
    with tempfile.TemporaryDirectory() as folder, open(Path(folder, "log"), "w+") as log:
        process = subprocess.Popen(
            [python, *command],
            cwd=folder,
            env={**os.environ, "PATH": f"{Path(python).parent}:{os.environ['PATH']}"},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        running = Running(f"http://127.0.0.1:{port}{path}", process.pid)
        try:
            _wait_until_it_answers(running.url, process, log)
            yield running
        finally:
            for child in reversed(_family(process.pid)):
                with suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
            process.wait()


def _wait_until_it_answers(url: str, process: subprocess.Popen[bytes], log: Any) -> None:
    until = time.monotonic() + 180
    while time.monotonic() < until and process.poll() is None:
        try:
            with urllib.request.urlopen(_request(url)):
                return
        except (urllib.error.URLError, ConnectionError) as error:
            last = error
            time.sleep(0.2)
    log.seek(0)
    raise SystemExit(f"{url} does not answer ({last}):\n{log.read()[-3000:]}")


def _request(url: str) -> urllib.request.Request:
    return urllib.request.Request(url, BODY.encode(), {"Content-Type": "application/json"})


def wrk(running: Running, connections: int, seconds: float, rate: int = 0) -> Seen:
    """Ask a server for some seconds."""
    before = running.cpu()
    output = subprocess.run(
        _wrk(running.url, connections, seconds),
        env={**os.environ, "BODY": BODY, "CONNECTIONS": str(connections), "RATE": str(rate)},
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    found = json.loads(next(line for line in output.splitlines() if line.startswith("JSON"))[5:])
    return Seen(
        found["requests"] / found["seconds"],
        found["p50"],
        found["p99"],
        found["errors"],
        found["requests"],
        1000 * (running.cpu() - before) / max(found["requests"], 1),
    )


def _wrk(url: str, connections: int, seconds: float) -> list[str]:
    return [
        *("wrk", "--threads", "1", "--connections", str(connections), "--timeout", "30s"),
        *("--duration", f"{seconds:g}s", "--script", str(HERE / "request.lua"), url),
    ]


def beside_peers(kind: str, folder: Path, rounds: int, seconds: float) -> list[str]:
    """Measure all servers with one model, in turn; return the lines of a table."""
    loads = [*((connections, 0) for connections in CONNECTIONS), (16, RATE)]
    seen: dict[tuple[str, int, int], list[Seen]] = {}
    memory: dict[str, list[int]] = {server: [] for server in SERVERS}
    for server in SERVERS:
        saved(server, kind, folder / server)
    for _ in range(rounds):
        for server in SERVERS:
            with serving(server, kind, folder / server) as running:
                wrk(running, 16, min(seconds, 3))  # what comes first is slower everywhere
                for connections, rate in loads:
                    one = wrk(running, connections, seconds, rate)
                    seen.setdefault((server, connections, rate), []).append(one)
                    print(kind, server, connections, rate or "", one, flush=True)
                memory[server].append(running.memory())
    lines = [
        f"| {KINDS[kind]} | connections | requests a second | p50, ms | p99, ms | CPU ms a request "
        "| failed |",
        "|---|---|---|---|---|---|---|",
    ]
    for connections, rate in loads:
        for server in SERVERS:
            found = seen[server, connections, rate]
            where = f"{connections}, {rate} a second" if rate else str(connections)
            lines.append(
                f"| {NAMES[server]} | {where} | {spread(s.rate for s in found).shown(0)} "
                f"| {spread(s.p50 for s in found).shown()} "
                f"| {spread(s.p99 for s in found).shown()} "
                f"| {statistics.median(s.cpu for s in found):.2f} "
                f"| {sum(s.errors for s in found)} |"
            )
    held = ", ".join(
        f"{NAMES[server]} {statistics.median(memory[server]) / 1e6:.0f}" for server in SERVERS
    )
    return [*lines, "", f"Memory afterwards, in MB, of all processes: {held}."]


def with_shadow(model: Path, rounds: int, seconds: float) -> list[str]:
    """Measure callers' waiting without a shadow, with one, and with one that stands still."""
    found: dict[str, list[Seen]] = {"none": [], "of all requests": [], "that stands still": []}
    with (
        tempfile.TemporaryDirectory() as state,
        serving("penstock", "sklearn", model, "--state", state) as running,
    ):
        workers = set(_family(running.process))
        _load(state, 2, model)
        [shadow] = set(_family(running.process)) - workers
        for turn in range(rounds):
            for name, seen in found.items():
                share = None if name == "none" else {"version": 2, "percent": 100}
                routes = {"production": 1, "shadow": share, "token": f"{name} {turn}"}
                _administer(state, "PUT", "model/routes", _without_none(routes))
                if name == "that stands still":
                    os.kill(shadow, signal.SIGSTOP)
                try:
                    seen.append(wrk(running, 16, seconds, SHADOW_RATE))
                finally:
                    os.kill(shadow, signal.SIGCONT)
                print("shadow", name, seen[-1], flush=True)
    lines = [
        f"| shadow, at {SHADOW_RATE:,} requests a second | p50, ms | p99, ms | failed |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {name} | {spread(s.p50 for s in seen).shown()} | {spread(s.p99 for s in seen).shown()} "
        f"| {sum(s.errors for s in seen)} |"
        for name, seen in found.items()
    ]
    return lines


def with_log(model: Path, rounds: int, seconds: float) -> list[str]:
    """Measure callers' waiting without a log, with one, and with one that stands still."""
    names = ("none", "of all requests", "that stands still")
    loads = {f"{SHADOW_RATE:,} a second": SHADOW_RATE, "as many as 16 connections can": 0}
    found: dict[tuple[str, str], list[Seen]] = {}
    dropped: dict[tuple[str, str], int] = {}
    with tempfile.TemporaryDirectory() as folder:
        options = {name: ["--state", f"{folder}/{name}"] for name in ("with", "without")}
        options["with"] += ["--log", f"{folder}/log"]
        with (
            serving("penstock", "sklearn", model, *options["without"]) as unlogged,
            serving("penstock", "sklearn", model, *options["with"]) as logged,
        ):
            [log] = [child for child in _family(logged.process) if _is_log(child)]
            for running in (unlogged, logged):
                wrk(running, 16, min(seconds, 3))  # what comes first is slower
            for _ in range(rounds):
                for (load, rate), name in itertools.product(loads.items(), names):
                    before = _dropped(logged)
                    if name == names[-1]:
                        os.kill(log, signal.SIGSTOP)
                    try:
                        one = wrk(unlogged if name == "none" else logged, 16, seconds, rate)
                    finally:
                        os.kill(log, signal.SIGCONT)
                    found.setdefault((load, name), []).append(one)
                    lost = _dropped(logged) - before
                    dropped[load, name] = dropped.get((load, name), 0) + lost
                    print("log", load, name, one, lost, flush=True)
                    _let_catch_up(log)
    lines = [
        "| log | requests a second | p50, ms | p99, ms | CPU ms a request | failed | not kept |",
        "|---|---|---|---|---|---|---|",
    ]
    for (load, name), seen in found.items():
        asked = sum(s.requests for s in seen)
        lost = "" if name == "none" else f"{100 * dropped[load, name] / asked:.0f} %"
        lines.append(
            f"| {name}, {load} | {spread(s.rate for s in seen).shown(0)} "
            f"| {spread(s.p50 for s in seen).shown()} | {spread(s.p99 for s in seen).shown()} "
            f"| {statistics.median(s.cpu for s in seen):.2f} "
            f"| {sum(s.errors for s in seen)} | {lost} |"
        )
    return lines


def _is_log(process: int) -> bool:
    return b"serving.log.process" in Path(f"/proc/{process}/cmdline").read_bytes()


def _dropped(running: Running) -> int:
    with urllib.request.urlopen(running.url.partition("/v1/")[0] + "/metrics") as response:
        lines = response.read().decode().splitlines()
    told = next(line for line in lines if line.startswith("penstock_log_dropped_total"))
    return int(float(told.split()[1]))


def _let_catch_up(log: int) -> None:
    """Wait until a log has read what it was told, so that the next run is not asked beside that."""
    worked = -1.0
    while (now := _worked(log)) > worked:
        worked = now
        time.sleep(0.5)


def switched(model: Path) -> list[str]:
    """Switch versions under load, as often as is said; nothing may fail."""
    with (
        tempfile.TemporaryDirectory() as state,
        serving("penstock", "sklearn", model, "--state", state) as running,
    ):
        _load(state, 2, model)
        asking = subprocess.Popen(
            _wrk(running.url, 16, 20),
            env={**os.environ, "BODY": BODY, "CONNECTIONS": "16"},
            stdout=subprocess.PIPE,
            text=True,
        )
        for turn in range(SWITCHES):
            routes = {"production": 1 + turn % 2, "token": f"switch {turn}"}
            _administer(state, "PUT", "model/routes", routes)
            time.sleep(0.3)
        output, _ = asking.communicate()
    found = json.loads(next(line for line in output.splitlines() if line.startswith("JSON"))[5:])
    print("switches", found, flush=True)
    return [
        f"{SWITCHES} switches of the version while 16 connections ask: "
        f"{found['requests']:,} requests, of which {found['errors']} failed; "
        f"p99 {found['p99']:.1f} ms."
    ]


def saved(server: str, kind: str, folder: Path) -> None:
    """Save a model for a server, with that server's environment."""
    subprocess.run(
        [python_of(server), HERE / "models.py", kind, server, folder],
        check=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""},
    )


def _load(state: str, number: int, model: Path) -> None:
    content = {"version": number, "path": str(model)}
    _administer(state, "PUT", f"model/versions/{number}", content)
    while True:
        versions = _administer(state, "GET", "model")["versions"]
        if versions[str(number)]["state"] == "ready":
            return
        time.sleep(0.1)


def _administer(state: str, method: str, path: str, content: Any = None) -> Any:
    known = json.loads(Path(state, "server.json").read_text())
    request = urllib.request.Request(
        f"{known['url']}/penstock/v1/models/{path}",
        None if content is None else json.dumps(content).encode(),
        {"Authorization": f"Bearer {known['token']}"},
        method=method,
    )
    with urllib.request.urlopen(request) as response:
        return json.load(response)


def _without_none(content: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in content.items() if value is not None}


def _family(process: int) -> list[int]:
    """Return a process and all that it has started, and those have."""
    found = [process]
    for listed in Path(f"/proc/{process}/task").glob("*/children"):
        for child in listed.read_text().split():
            found += _family(int(child))
    return found


def _proportional(process: int) -> int:
    lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def _worked(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def write(parts: list[list[str]]) -> None:
    """Put the tables into their place on the page."""
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    text = "\n\n".join("\n".join(part) for part in parts)
    PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")


def main() -> None:
    """Measure all, and write the page's tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--models", default=",".join(KINDS), help="empty for the server alone")
    parser.add_argument("--dry", action="store_true", help="print the tables, and write nothing")
    asked = parser.parse_args()
    parts = []
    with tempfile.TemporaryDirectory() as folder:
        for kind in filter(None, asked.models.split(",")):
            parts.append(beside_peers(kind, Path(folder, kind), asked.rounds, asked.seconds))
        alone = Path(folder, "alone")
        saved("penstock", "sklearn", alone)
        parts.append(with_shadow(alone, asked.rounds, asked.seconds))
        parts.append(with_log(alone, asked.rounds, asked.seconds))
        parts.append(switched(alone))
    if asked.dry:
        print("\n\n".join("\n".join(part) for part in parts))
    else:
        write(parts)


if __name__ == "__main__":
    main()
