"""Docker and Podman, by their commands."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penstock.errors import ImageError, suggestion

ENGINES = ("docker", "podman")
_TAIL_LINES = 20

_UNAUTHORIZED = re.compile(
    "unauthorized|authentication required|no basic auth|access.*denied|denied:|forbidden",
    re.IGNORECASE,
)
_UNREACHABLE = re.compile(
    "connection refused|no such host|no route to host|i/o timeout|server gave HTTP response"
    "|network is unreachable|failure in name resolution|server misbehaving",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Engine:
    """An engine that builds and pushes images; `name` is its command."""

    name: str

    def find(self, reference: str) -> dict[str, Any] | None:
        """Return what the engine says of an image that it has, or None."""
        done = self._run("image", "inspect", reference)
        if done.returncode:
            return None
        details: dict[str, Any] = json.loads(done.stdout)[0]
        return details

    def build(self, folder: Path, dockerfile: Path, tag: str, arguments: Mapping[str, str]) -> None:
        """Build an image from the files of a folder, showing the engine's progress.

        Raises:
          ImageError: it cannot be built.
        """
        options = [f"--build-arg={name}={value}" for name, value in sorted(arguments.items())]
        code, tail = self._show("build", "-f", str(dockerfile), "-t", tag, *options, str(folder))
        if code:
            raise ImageError(
                f"{self.name} could not build {tag}: {_last(tail)}",
                hint="What it printed stands above.",
            )

    def tag(self, reference: str, name: str) -> None:
        """Give an image a further name."""
        done = self._run("tag", reference, name)
        if done.returncode:
            raise ImageError(f"{self.name} could not name {reference} {name}: {done.stderr}")

    def push(self, reference: str) -> str:
        """Push an image, and return its reference by digest.

        Raises:
          ImageError: the registry is not reached, or does not want it.
        """
        with tempfile.NamedTemporaryFile(suffix=".digest") as file:
            by_file = ("--digestfile", file.name) if self.name == "podman" else ()
            code, tail = self._show("push", *by_file, reference)
            if code:
                raise self._push_error(reference, tail)
            digest = Path(file.name).read_text(encoding="utf-8").strip()
        repository = repository_of(reference)
        if digest:
            return f"{repository}@{digest}"
        pushed = pushed_as(self.find(reference) or {}, repository)
        if pushed is None:
            raise ImageError(f"{self.name} pushed {reference} but tells no digest of it")
        return pushed

    def _push_error(self, reference: str, tail: Sequence[str]) -> ImageError:
        registry = registry_of(reference)
        text = "\n".join(tail)
        if _UNREACHABLE.search(text):
            return ImageError(
                f"the registry {registry} cannot be reached: {_last(tail)}",
                hint="See that its name and port are right. An engine wants HTTPS of a registry, "
                "unless it is told otherwise.",
            )
        if _UNAUTHORIZED.search(text):
            return ImageError(
                f"the registry {registry} does not let you push {reference}: {_last(tail)}",
                hint=f"Log in: {self.name} login {registry}. Its repository may also have to be "
                "made first, or to let you write.",
            )
        return ImageError(f"{self.name} could not push {reference}: {_last(tail)}")

    def check(self) -> None:
        """See that the engine answers.

        Raises:
          ImageError: it does not.
        """
        done = self._run("info")
        if done.returncode == 0:
            return
        hint = "Start it (systemctl start docker), or say where it is with DOCKER_HOST."
        if "permission denied" in done.stderr.lower():
            hint = "You may not use its socket: join the group docker, or use podman."
        raise ImageError(
            f"{self.name} is installed, but its engine does not answer: "
            f"{_last(done.stderr.splitlines())}",
            hint=hint if self.name == "docker" else None,
        )

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.name, *arguments], capture_output=True, text=True, errors="replace", check=False
        )

    def _show(self, *arguments: str) -> tuple[int, Sequence[str]]:
        """Run a command whose output is shown; return its exit code and its last lines."""
        tail: deque[str] = deque(maxlen=_TAIL_LINES)
        with subprocess.Popen(
            [self.name, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                sys.stderr.write(line)
                if line.strip():
                    tail.append(line.strip())
        return process.returncode, tail


def find_engine(name: str | None = None) -> Engine:
    """Return an engine that answers: the one asked for, else Docker, else Podman.

    Raises:
      ImageError: there is none.
    """
    if name is not None and name not in ENGINES:
        raise ImageError(
            f"the engine {name!r} is not known", hint=suggestion(name, ENGINES, noun="engine")
        )
    installed = [
        engine for engine in (ENGINES if name is None else (name,)) if shutil.which(engine)
    ]
    if not installed:
        commands = " or ".join(ENGINES) if name is None else name
        raise ImageError(
            f"there is no command {commands} on the PATH: images are built with one",
            hint="Install Docker or Podman, on Debian with: apt-get install docker.io.",
        )
    engine = Engine(installed[0])
    try:
        engine.check()
    except ImageError:
        if len(installed) < 2:
            raise
        engine = Engine(installed[1])
        engine.check()
    return engine


def pushed_as(image: Mapping[str, Any], repository: str) -> str | None:
    """Return the reference by digest under which an image was pushed to a repository."""
    for digest in image.get("RepoDigests") or ():
        if digest.partition("@")[0] == repository:
            return str(digest)
    return None


def repository_of(reference: str) -> str:
    """Return a reference without tag and digest."""
    name = reference.partition("@")[0]
    head, slash, last = name.rpartition("/")
    return f"{head}{slash}{last.partition(':')[0]}"


def registry_of(reference: str) -> str:
    """Return the registry of a reference: what stands before the first slash, if it is a host."""
    first, slash, _ = reference.partition("/")
    is_host = slash and ("." in first or ":" in first or first == "localhost")
    return first if is_host else "docker.io"


def _last(lines: Sequence[str]) -> str:
    return lines[-1].strip() if lines else "it gave no reason"
