"""Runners of Beam on this machine, with workers that do not see the user's folder."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen

from penstock_support import PROGRAMS
from penstock_support.clusters import await_port, free_port, running

_MODULES = "apache_beam.runners"
# Mounts are this process's own and those of its children.
_HIDING = 'mount -t tmpfs none "$1" && shift && exec "$@"'


@dataclass(frozen=True)
class BeamServers:
    """What does a portable job: the server that takes it, and the arguments that lead there."""

    args: tuple[str, ...]
    endpoint: str
    job_service: Popen[str]


@contextmanager
def with_a_pool(folder: Path, hidden: Path) -> Iterator[BeamServers]:
    """Have Beam's own job service and a pool of workers, which see nothing in `hidden`."""
    folder.mkdir(parents=True, exist_ok=True)
    port, pool_port = free_port(), free_port()
    service = [
        *(sys.executable, "-m", f"{_MODULES}.portability.local_job_service_main"),
        *("--port", str(port), "--staging_dir", str(folder / "staging")),
    ]
    workers = [
        *_hiding(hidden),
        *(sys.executable, "-m", f"{_MODULES}.worker.worker_pool_main"),
        *("--service_port", str(pool_port)),
    ]
    with running(workers, folder, {}) as pool, running(service, folder, {}) as job_service:
        for process, listens_at in ((pool, pool_port), (job_service, port)):
            await_port(process, listens_at)
        yield _servers(port, job_service, "EXTERNAL", f"127.0.0.1:{pool_port}")


@contextmanager
def with_processes(folder: Path, hidden: Path) -> Iterator[BeamServers]:
    """Have Prism, which starts processes as workers; they see nothing in the folder `hidden`."""
    folder.mkdir(parents=True, exist_ok=True)
    port, boot = free_port(), folder / "boot"
    boot.write_text(f'#!/bin/sh\nexec {sys.executable} {PROGRAMS / "beam_boot.py"} "$@"\n')
    boot.chmod(0o755)
    service = [*_hiding(hidden), str(prism()), f"-job_port={port}", "-serve_http=false"]
    with running(service, folder, {}) as job_service:
        await_port(job_service, port)
        yield _servers(port, job_service, "PROCESS", json.dumps({"command": str(boot)}))


def prism() -> str | None:
    """Return the program of Beam's runner Prism, which `make more-services-beam` builds."""
    folders = os.pathsep.join([str(Path(__file__).parents[3] / ".servers"), os.environ["PATH"]])
    return shutil.which("prism", path=folders)


def _hiding(folder: Path) -> list[str]:
    return ["unshare", "--mount", "sh", "-c", _HIDING, "sh", str(folder)]


def _servers(port: int, job_service: Popen[str], workers: str, where: str) -> BeamServers:
    args = (
        "--runner=PortableRunner",
        f"--job_endpoint=127.0.0.1:{port}",
        f"--environment_type={workers}",
        f"--environment_config={where}",
    )
    return BeamServers(args, f"127.0.0.1:{port}", job_service)


def await_state(servers: BeamServers, job_id: str, state: str) -> None:
    """Wait until a job has been in a state."""
    import grpc
    from apache_beam.portability.api import beam_job_api_pb2, beam_job_api_pb2_grpc

    with grpc.insecure_channel(servers.endpoint) as channel:
        stub = beam_job_api_pb2_grpc.JobServiceStub(channel)
        wanted = beam_job_api_pb2.JobState.Enum.Value(state)
        request = beam_job_api_pb2.GetJobStateRequest(job_id=job_id)
        for event in stub.GetStateStream(request, timeout=60):
            if event.state == wanted:
                return
    raise AssertionError(f"the job was never {state}")
