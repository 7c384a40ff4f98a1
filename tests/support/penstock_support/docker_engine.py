"""A Docker engine, and a Debian for it: started and made where there is none."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SUITE = "trixie"
BASE_VARIABLE = "PENSTOCK_BASE_IMAGE"
# What a build needs of a machine whose packages come by way of a proxy that opens TLS.
CERTIFICATES = os.environ.get("SSL_CERT_FILE", "")
_READY = "API listen on"
_WAIT_SECONDS = 120


class NoEngineError(RuntimeError):
    """There is no Docker engine, and none can be started."""


@contextmanager
def engine(folder: Path) -> Iterator[str]:
    """Yield the address of an engine: of the one that answers, or of one started for the while.

    What that one keeps is kept in the folder, so that the next one has its images.

    Raises:
      NoEngineError: there is none and none starts; the message says why.
    """
    if shutil.which("docker") and _docker("info").returncode == 0:
        yield os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
        return
    daemon = shutil.which("dockerd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if daemon is None or not shutil.which("docker"):
        raise NoEngineError("no Docker engine answers and dockerd is not installed")
    if os.geteuid() != 0:
        raise NoEngineError("no Docker engine answers, and only root can start one")
    # Paths of sockets must be short.
    sockets = Path(tempfile.mkdtemp(prefix="docker-"))
    address = f"unix://{sockets}/docker.sock"
    command = [daemon, f"--host={address}", f"--data-root={folder.resolve()}"]
    command += [f"--exec-root={sockets}/exec", f"--pidfile={sockets}/pid"]
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    log: list[str] = []
    ready, reader = threading.Event(), threading.Thread(target=lambda: read(), daemon=True)

    def read() -> None:
        assert process.stderr is not None
        for line in process.stderr:
            log.append(line)
            if _READY in line:
                ready.set()
        ready.set()

    reader.start()
    try:
        ready.wait(_WAIT_SECONDS)
        if process.poll() is not None or not any(_READY in line for line in log):
            raise NoEngineError(f"dockerd does not start: {''.join(log[-15:])}")
        yield address
    finally:
        process.terminate()
        process.wait(timeout=60)
        reader.join()
        shutil.rmtree(sockets, ignore_errors=True)


def base_image() -> str:
    """Return the image to build upon: the one that is named, or a small Debian made here."""
    if named := os.environ.get(BASE_VARIABLE):
        return named
    certificates = Path(CERTIFICATES).read_bytes() if CERTIFICATES else b""
    name = f"penstock-test-base:{SUITE}-{hashlib.sha256(certificates).hexdigest()[:12]}"
    if _docker("image", "inspect", name).returncode == 0:
        return name
    with tempfile.TemporaryDirectory(prefix="debian-") as temporary:
        root = Path(temporary, SUITE)
        _call("debootstrap", "--variant=minbase", SUITE, str(root), _mirror())
        for kept in ("var/cache/apt/archives", "var/lib/apt/lists", "usr/share/doc"):
            shutil.rmtree(root / kept, ignore_errors=True)
        options = []
        if certificates:
            place = "etc/ssl/machine.crt"
            (root / place).parent.mkdir(parents=True, exist_ok=True)
            (root / place).write_bytes(certificates)
            for variable in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "PIP_CERT"):
                options += ["--change", f"ENV {variable}=/{place}"]
        archive = Path(temporary, "debian.tar")
        _call("tar", "--create", "--file", str(archive), "--directory", str(root), ".")
        _call("docker", "import", *options, str(archive), name)
    return name


def gateway(image: str) -> str:
    """Return the address that this machine has in containers; any image with `cat` tells it."""
    routes = _call("docker", "run", "--rm", image, "cat", "/proc/net/route").splitlines()
    [default] = [line.split()[2] for line in routes[1:] if line.split()[1] == "00000000"]
    return ".".join(str(part) for part in reversed(bytes.fromhex(default)))


def _mirror() -> str:
    """Return the address from which this machine itself takes Debian's packages."""
    listed = _call(
        "apt-get", "indextargets", "--format", "$(REPO_URI)", "Origin: Debian", "Component: main"
    )
    mirrors = [line for line in listed.splitlines() if "security" not in line]
    if not mirrors:
        raise NoEngineError(f"this machine has no Debian sources: name an image in {BASE_VARIABLE}")
    return mirrors[0]


def _docker(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)


def _call(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command[0]}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout
