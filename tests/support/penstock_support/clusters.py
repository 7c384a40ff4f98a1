"""A Spark and a Ray on this machine, whose workers know nothing of the user's folder."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from penstock.project.clusters import RayOptions, SparkOptions

CORES = 1


def free_port() -> int:
    """Return a port that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def environment(**more: str) -> dict[str, str]:
    """Return what processes of a cluster see: nothing of the user's."""
    kept = ("PATH", "HOME", "LANG", "JAVA_HOME")
    own = {name: os.environ[name] for name in kept if name in os.environ}
    own["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), own.get("PATH", "")])
    return {**own, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONWARNINGS": "ignore", **more}


@dataclass
class SparkCluster:
    """A standalone master with workers; each is a process that can be killed."""

    folder: Path
    options: SparkOptions = field(default_factory=lambda: SparkOptions("local"))
    workers: list[subprocess.Popen[str]] = field(default_factory=list)
    master: subprocess.Popen[str] | None = None

    def start_master(self, stack: ExitStack) -> None:
        """Start the master, and wait until it listens."""
        port = free_port()
        self.master = stack.enter_context(
            self.running("master.Master", ["-h", "127.0.0.1", "-p", str(port), "--webui-port", "0"])
        )
        awaited(self.master, "I have been elected leader")
        self.options = SparkOptions(
            f"spark://127.0.0.1:{port}",
            {
                "spark.pyspark.python": sys.executable,
                "spark.executor.memory": "512m",
                "spark.driver.host": "127.0.0.1",
            },
        )

    def start_worker(self, stack: ExitStack) -> None:
        """Start a worker with one core, and wait until the master knows it."""
        folder = self.folder / f"worker-{len(self.workers)}"
        arguments = ["-c", str(CORES), "-m", "1g", "-d", str(folder), "-h", "127.0.0.1"]
        worker = stack.enter_context(
            self.running("worker.Worker", [*arguments, "--webui-port", "0", self.options.master])
        )
        awaited(worker, "Successfully registered with master")
        self.workers.append(worker)

    @contextmanager
    def running(self, name: str, arguments: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
        """Have a process of Spark's that has a class with this name below its package `deploy`."""
        import pyspark

        program = Path(pyspark.__file__).parent / "bin" / "spark-class"
        command = [str(program), f"org.apache.spark.deploy.{name}", *arguments]
        with running(command, self.folder, {"SPARK_LOCAL_IP": "127.0.0.1"}) as process:
            yield process


@contextmanager
def spark_cluster(folder: Path, workers: int = 2) -> Iterator[SparkCluster]:
    """Have a master and workers, in a folder of their own."""
    cluster = SparkCluster(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        cluster.start_master(stack)
        for _ in range(workers):
            cluster.start_worker(stack)
        yield cluster


def connect_jar() -> Path | None:
    """Return what makes a Spark a server of Spark Connect; `make more-services-beam` fetches it."""
    return next(Path(__file__).parents[3].glob(".servers/spark-connect_*.jar"), None)


@contextmanager
def spark_connect(folder: Path) -> Iterator[SparkCluster]:
    """Have a Spark, and a server of Spark Connect before it, which is all that callers know."""
    with spark_cluster(folder) as cluster, ExitStack() as stack:
        port = free_port()
        conf = {"spark.connect.grpc.binding.port": str(port), **cluster.options.conf}
        arguments = [
            *("--class", "org.apache.spark.sql.connect.service.SparkConnectServer"),
            *("--master", cluster.options.master, "--jars", str(connect_jar())),
            *(part for item in conf.items() for part in ("--conf", "=".join(item))),
            "spark-internal",
        ]
        server = stack.enter_context(cluster.running("SparkSubmit", arguments))
        await_port(server, port)
        yield replace(cluster, options=SparkOptions(f"sc://127.0.0.1:{port}"))


@dataclass
class RayCluster:
    """A head and a second node, each with a processor of its own."""

    options: RayOptions
    nodes: list[subprocess.Popen[str]]


@contextmanager
def ray_cluster(folder: Path) -> Iterator[RayCluster]:
    """Have a Ray of two nodes, in a folder of their own."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    sizes = ["--num-cpus", str(CORES), "--object-store-memory", "100000000", "--block"]
    quiet = ["--disable-usage-stats"]
    ray = [str(Path(sys.executable).with_name("ray")), "start"]
    own = {"RAY_AUTH_MODE": "disabled"}
    head = [
        *ray, "--head", "--node-ip-address", "127.0.0.1", "--port", str(port),
        "--ray-client-server-port", str(free_port()), "--include-dashboard", "false",
        *sizes, *quiet,
    ]  # fmt: skip
    address = f"127.0.0.1:{port}"
    further = [*ray, "--address", address, "--node-ip-address", "127.0.0.1", *sizes, *quiet]
    with running(head, folder, own) as first:
        awaited(first, "Ray runtime started")
        with running(further, folder, own) as second:
            awaited(second, "Ray runtime started")
            yield RayCluster(RayOptions(f"127.0.0.1:{port}"), [first, second])


@contextmanager
def running(
    command: Sequence[str], folder: Path, more: Mapping[str, str]
) -> Iterator[subprocess.Popen[str]]:
    """Have a process with those that it starts, which are killed in the end."""
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environment(**more),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        kill(process)


def kill(process: subprocess.Popen[str]) -> None:
    """Kill a process with those that it has started, which are in its session."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with suppress(ProcessLookupError):
            if os.getsid(int(entry.name)) == process.pid:
                os.kill(int(entry.name), signal.SIGKILL)
    process.wait()


def awaited(process: subprocess.Popen[str], text: str) -> None:
    """Wait until a process has written some text; what comes after it is read and forgotten."""
    assert process.stdout is not None
    read = []
    for line in process.stdout:
        read.append(line)
        if text in line:
            break
    else:
        raise AssertionError(f"it ended before {text!r}:\n{''.join(read)}")
    _drain(process)


def await_port(process: subprocess.Popen[str], port: int) -> None:
    """Wait until a process listens at a port; what it writes is read and forgotten."""
    while process.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            _drain(process)
            return
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.05)
    assert process.stdout is not None
    raise AssertionError(f"it ended before it listened at {port}:\n{process.stdout.read()}")


def _drain(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    threading.Thread(target=process.stdout.read, daemon=True).start()
