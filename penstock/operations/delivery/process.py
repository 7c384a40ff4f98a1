"""A process that does one thing with a project: it imports its code, which nobody else should.

`start` starts one; what stands below `main` is in the process itself.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from penstock.errors import PenstockError
from penstock.operations.delivery.descriptions import ProjectDescription
from penstock.operations.delivery.requests import Request
from penstock.project import keras
from penstock.project.tables import read_table

# Code at the top of modules has no business to take longer.
PATIENCE_SECONDS = 300
_TAIL = 2000
_GRACE_SECONDS = 10

# What does a task: a function of the request, which returns what JSON can say.
TASKS: Mapping[str, str] = {
    "describe": "penstock.operations.delivery.describing:answer",
    "examine": "penstock.operations.delivery.examining:answer",
    "run": "penstock.operations.delivery.sampled_run:answer",
}


@dataclass(frozen=True)
class Running:
    """A process at work."""

    process: subprocess.Popen[bytes]
    _answer: Path
    _log: Path

    def answer(self, patience: float | None = PATIENCE_SECONDS) -> dict[str, Any]:
        """Wait for what the process has to say.

        Raises:
          PenstockError: it has ended without an answer, or is not done after `patience` seconds.
        """
        try:
            self.process.wait(patience)
        except subprocess.TimeoutExpired:
            raise PenstockError(
                f"the project's code did not import within {PATIENCE_SECONDS} seconds"
            ) from None
        if not self._answer.is_file():
            code = self.process.returncode
            said = self._log.read_text(errors="replace").strip()[-_TAIL:]
            raise PenstockError(
                f"the process that imports the project's code ended with exit code {code}"
                + (f": {said}" if said else "")
            )
        told: dict[str, Any] = json.loads(self._answer.read_text())
        return told


@contextmanager
def start(request: Request, folder_to_work_in: str | None = None) -> Iterator[Running]:
    """Start a process for a task, which ends with the block at the latest.

    `folder_to_work_in` is its current folder, from which relative paths of the user's code count.
    """
    with tempfile.TemporaryDirectory(prefix="penstock-ci-") as scratch:
        answer, log = Path(scratch, "answer.json"), Path(scratch, "log")
        with log.open("wb") as said:
            process = subprocess.Popen(
                # -P: a module of the current folder does not come in Python's or our place.
                [sys.executable, "-P", "-m", __name__, json.dumps(asdict(request)), str(answer)],
                cwd=folder_to_work_in or request.folder,
                env=_environment(request),
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )
        try:
            yield Running(process, answer, log)
        finally:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process, and those that it has started: a run is given the time to put things right."""
    if process.poll() is None:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def described(running: Running) -> ProjectDescription:
    """Return the description that a process makes; one that ends without is told in it."""
    try:
        return read_table(ProjectDescription, running.answer())
    except PenstockError as error:
        return ProjectDescription(error=str(error))


def _environment(request: Request) -> Mapping[str, str]:
    variables = keras.child_environment()
    variables.update(PYTHONDONTWRITEBYTECODE="1", TF_CPP_MIN_LOG_LEVEL="3")
    if path := variables.get("PYTHONPATH"):
        places = (_moved(str(Path(entry).absolute()), request) for entry in path.split(os.pathsep))
        variables["PYTHONPATH"] = os.pathsep.join(places)
    return variables


def _moved(path: str, request: Request) -> str:
    """Return a path of the working tree where the description's files have it."""
    if not request.in_place_of or not path:
        return path
    real, top = os.path.realpath(path), os.path.realpath(request.in_place_of)
    inside = real == top or real.startswith(top + os.sep)
    if not inside or _is_installed(real):
        return path
    return os.path.normpath(os.path.join(request.top, os.path.relpath(real, top)))


def _is_installed(path: str) -> bool:
    parts = set(Path(path).parts)
    prefixes = (os.path.realpath(sys.prefix), os.path.realpath(sys.base_prefix))
    return bool({"site-packages", "dist-packages"} & parts) or any(
        path == prefix or path.startswith(prefix + os.sep) for prefix in prefixes
    )


def _move_imports(request: Request) -> None:
    """Let what is installed from the working tree (editable) be imported from the other files."""
    sys.path[:] = [_moved(entry, request) if entry else entry for entry in sys.path]
    for name, module in list(sys.modules.items()):
        mapping = getattr(module, "MAPPING", None)
        if not name.startswith("__editable__") or not isinstance(mapping, dict):
            continue
        for package, path in mapping.items():
            if package.partition(".")[0] != "penstock":
                mapping[package] = _moved(path, request)


def main(arguments: list[str]) -> None:
    """Do what the first argument asks for, and write the answer to the file of the second."""
    request = read_table(Request, json.loads(arguments[0]))
    if request.in_place_of:
        _move_imports(request)
    module, _, function = TASKS[request.task].partition(":")
    told = getattr(importlib.import_module(module), function)(request)
    answer = Path(arguments[1])
    part = answer.with_suffix(".part")
    part.write_text(json.dumps(_without_none(told)))
    part.replace(answer)
    sys.stdout.flush()
    os._exit(0)  # threads that the user's code has left do not hold it up


def _without_none(value: Any) -> Any:
    """Return a value as tables have it: what is None is not there."""
    if isinstance(value, dict):
        return {name: _without_none(item) for name, item in value.items() if item is not None}
    if isinstance(value, (list, tuple)):
        return [_without_none(item) for item in value]
    return value


if __name__ == "__main__":
    main(sys.argv[1:])
