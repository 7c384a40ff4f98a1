"""A Beam job service and a pool of workers on this machine, which do not see the user's folder."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen

from penstock_support.clusters import await_port, free_port, running

_MODULES = "apache_beam.runners"
# Mounts are this process's own and those of its children.
_HIDING = 'mount -t tmpfs none "$1" && shift && exec "$@"'


@dataclass(frozen=True)
class BeamServers:
    """What does a portable job: a server that takes it, and a pool that starts workers for it."""

    args: tuple[str, ...]
    endpoint: str
    job_service: Popen[str]
    pool: Popen[str]


@contextmanager
def beam_servers(folder: Path, hidden: Path) -> Iterator[BeamServers]:
    """Have a job service and a pool of workers, which see nothing in the folder `hidden`."""
    folder.mkdir(parents=True, exist_ok=True)
    port, pool_port = free_port(), free_port()
    service = [
        *(sys.executable, "-m", f"{_MODULES}.portability.local_job_service_main"),
        *("--port", str(port), "--staging_dir", str(folder / "staging")),
    ]
    workers = [
        *("unshare", "--mount", "sh", "-c", _HIDING, "sh", str(hidden)),
        *(sys.executable, "-m", f"{_MODULES}.worker.worker_pool_main"),
        *("--service_port", str(pool_port)),
    ]
    with running(workers, folder, {}) as pool, running(service, folder, {}) as job_service:
        for process, listens_at in ((pool, pool_port), (job_service, port)):
            await_port(process, listens_at)
        yield BeamServers(
            (
                "--runner=PortableRunner",
                f"--job_endpoint=127.0.0.1:{port}",
                "--environment_type=EXTERNAL",
                f"--environment_config=127.0.0.1:{pool_port}",
            ),
            f"127.0.0.1:{port}",
            job_service,
            pool,
        )


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
