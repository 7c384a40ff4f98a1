"""A SavedModel in a container of TensorFlow Serving, asked by its REST API."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pyarrow as pa

from penstock.components.infra_validator.limits import ServingSpec
from penstock.components.infra_validator.outcome import Measured, Outcome, no_numbers
from penstock.components.infra_validator.own_server import Bounds
from penstock.models.flavors import tensorflow_flavor

_REST_PORT = 8501
_DOCKER_SECONDS = 600.0
_LOOK_SECONDS = 0.2
_PATIENCE = 300.0


def docker(serving: ServingSpec) -> list[str] | None:
    """Return the command of Docker's client, None where no server of it answers."""
    if shutil.which("docker") is None:
        return None
    address = serving.local_docker.client_base_url if serving.local_docker else ""
    command = ["docker", *(["--host", address] if address else [])]
    try:
        asked = subprocess.run(
            [*command, "version", "--format", "{{.Server.Version}}"],
            capture_output=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return command if asked.returncode == 0 else None


def run_command(
    client: Sequence[str], image: str, name: str, directory: str, memory_bytes: float | None
) -> list[str]:
    """Return the command that serves the model of a directory on a free port of this machine."""
    memory = [] if memory_bytes is None else ["--memory", str(int(memory_bytes))]
    mount = f"type=bind,source={os.path.abspath(directory)},target=/models/{name}/1,readonly"
    return [
        *client,
        *("run", "--detach", "--publish", f"127.0.0.1::{_REST_PORT}"),
        *memory,
        *("--mount", mount, "--env", f"MODEL_NAME={name}", image),
    ]


def try_to_serve(
    client: Sequence[str],
    image: str,
    name: str,
    directory: str,
    rows: pa.Table | None,
    bounds: Bounds,
) -> Outcome:
    """Serve a model by an image, and ask it about rows, one after the other."""
    started = time.monotonic()
    command = run_command(client, image, name, directory, bounds.memory_bytes)
    try:
        with _running(client, command) as container:
            url = f"http://{_address(client, container)}/v1/models/{name}"
            if reason := _not_loaded(client, container, url, started + bounds.loading_seconds):
                return Outcome(f"{image} does not load the model: {reason}.")
            loaded = time.monotonic() - started
            slowest = 0.0
            for number, body in enumerate(_bodies(directory, rows)):
                asked = time.monotonic()
                outcome = _asked(url, body, number, bounds)
                slowest = max(slowest, time.monotonic() - asked)
                if outcome.reason:
                    ended = _ended(client, container)
                    return Outcome(f"{image} ends: {ended}.") if ended else outcome
            return Outcome(measured=Measured(loaded, slowest))
    except subprocess.CalledProcessError as error:
        said = (error.stderr or "").strip().splitlines()
        return Outcome(f"Docker does not run {image}: {said[-1] if said else error}.")


def _bodies(directory: str, rows: pa.Table | None) -> Iterator[bytes]:
    if rows is None:
        return
    signature = tensorflow_flavor.signature_in(directory)
    table = signature.cast(rows) if signature is not None else rows
    name = tensorflow_flavor.signature_name(directory)
    for request in tensorflow_flavor.requests_of(directory, table):
        inputs = {argument: _plain(values.tolist()) for argument, values in request.items()}
        yield json.dumps({"signature_name": name, "inputs": inputs}).encode()


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return {"b64": base64.b64encode(value).decode()} if isinstance(value, bytes) else value


@contextmanager
def _running(client: Sequence[str], command: Sequence[str]) -> Iterator[str]:
    container = _output(command)
    try:
        yield container
    finally:
        subprocess.run(
            [*client, "rm", "--force", "--volumes", container], capture_output=True, check=False
        )


def _output(command: Sequence[str]) -> str:
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=_DOCKER_SECONDS
    )
    return done.stdout.strip()


def _address(client: Sequence[str], container: str) -> str:
    return _output([*client, "port", container, f"{_REST_PORT}/tcp"]).splitlines()[0]


def _ended(client: Sequence[str], container: str) -> str:
    """Return how a container has ended, "" while it runs."""
    state = json.loads(_output([*client, "inspect", "--format", "{{json .State}}", container]))
    if state["Running"]:
        return ""
    if state["OOMKilled"]:
        return "it took more memory than it may"
    return f"its process ended with {state['ExitCode']}"


def _not_loaded(client: Sequence[str], container: str, url: str, until: float) -> str:
    """Wait until a model is there; return why it is not."""
    said = "it does not answer"
    while time.monotonic() < until:
        if ended := _ended(client, container):
            return ended
        try:
            with urllib.request.urlopen(url, timeout=10) as response:
                [status] = json.load(response)["model_version_status"]
        except (OSError, ValueError, KeyError):
            time.sleep(_LOOK_SECONDS)
            continue
        if status["state"] == "AVAILABLE":
            return ""
        said = status["status"].get("error_message") or status["state"]
        if status["state"] == "END":
            return said
        time.sleep(_LOOK_SECONDS)
    return f"its time is over, and {said}"


def _asked(url: str, body: bytes, number: int, bounds: Bounds) -> Outcome:
    patience = bounds.prediction_seconds or _PATIENCE
    try:
        with urllib.request.urlopen(f"{url}:predict", body, timeout=patience) as response:
            content = json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            said = error.read().decode(errors="replace")
        return Outcome(f"The model does not answer row {number}: {said:.500}", is_final=True)
    except TimeoutError:
        return Outcome(f"The model needs more than {patience:g} s for row {number}.")
    except OSError as error:
        return Outcome(f"The model does not answer row {number}: {error}.")
    outputs = content["outputs"]
    if output := no_numbers(outputs):
        return Outcome(
            f"The model's answer to row {number} has no number in {output!r}: "
            f"{json.dumps(outputs):.200}",
            is_final=True,
        )
    return Outcome()
