"""A process that describes a project: it imports the project's code, which nobody else should.

`describe` starts one; what stands below is the process itself.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from penstock.operations.delivery.descriptions import ProjectDescription
from penstock.project.tables import read_table

# Code at the top of modules has no business to take longer.
PATIENCE_SECONDS = 300
_TAIL = 2000


@dataclass(frozen=True)
class Request:
    """What is to be described: the project in `folder`, of the repository at `top`.

    `in_place_of` is the working tree of which `top` has other files: no code may come from there.
    """

    folder: str
    top: str
    profile: str = ""
    with_store: bool = False
    in_place_of: str = ""
    only: tuple[str, ...] = ()


@dataclass(frozen=True)
class Describing:
    """A description under way."""

    process: subprocess.Popen[bytes]
    answer: Path
    log: Path

    def result(self) -> ProjectDescription:
        """Wait for the description; a process that ends without one is told in it."""
        try:
            self.process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            return ProjectDescription(
                error=f"its code did not import within {PATIENCE_SECONDS} seconds"
            )
        if not self.answer.is_file():
            said = self.log.read_text(errors="replace").strip()[-_TAIL:]
            return ProjectDescription(
                error=f"the process that imports its code ended with exit code "
                f"{self.process.returncode}" + (f": {said}" if said else "")
            )
        return read_table(ProjectDescription, json.loads(self.answer.read_text()))


@contextmanager
def describe(request: Request, folder_to_work_in: str | None = None) -> Iterator[Describing]:
    """Start a process that describes a project, which ends with the block at the latest.

    `folder_to_work_in` is its current folder, from which relative paths of the user's code count.
    """
    with tempfile.TemporaryDirectory(prefix="penstock-describe-") as scratch:
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
            yield Describing(process, answer, log)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, 9)
            process.wait()


def _environment(request: Request) -> Mapping[str, str]:
    variables = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
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


def _answer(request: Request) -> ProjectDescription:
    from penstock.operations.delivery.describing import describe_project, modules_of

    if request.in_place_of:
        _move_imports(request)
    description = describe_project(
        Path(request.folder),
        Path(request.top),
        request.profile or None,
        with_store=request.with_store,
        only=request.only,
    )
    if not request.in_place_of:
        return description
    strays = modules_of(Path(os.path.realpath(request.in_place_of)), Path(request.top))
    if strays:
        name, file = next(iter(strays.items()))
        return ProjectDescription(
            error=f"the module {name} was imported from the working tree ({file}), and not from "
            "the base: it is on Python's path in a way that cannot be changed for the base"
        )
    return description


def main(arguments: list[str]) -> None:
    """Describe what the first argument asks for, and write it to the file of the second."""
    request = read_table(Request, json.loads(arguments[0]))
    answer = Path(arguments[1])
    description = _answer(request)
    part = answer.with_suffix(".part")
    part.write_text(json.dumps(_without_none(asdict(description))))
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
