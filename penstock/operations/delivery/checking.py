"""Checking a project's pipelines: statically, by its tests, and by runs on samples."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from penstock.errors import ConfigError, PenstockError, RunError, suggestion
from penstock.operations.delivery import process
from penstock.operations.delivery.checks import (
    FOLDER,
    Check,
    CheckRecord,
    State,
    check_from,
    read_checks,
    record_checks,
)
from penstock.operations.delivery.comparing import Kind
from penstock.operations.delivery.planning import describe_pipelines, plan_change
from penstock.operations.delivery.repository import find_repository
from penstock.operations.delivery.requests import Request
from penstock.project import keras
from penstock.project.config import FILE_NAME, Config
from penstock.safety import locks

TESTS = "tests"
SAMPLED_RUN = "sampled run"
DEFAULT_ROWS = 1000
_NO_TESTS = 5  # pytest's exit code where it finds none
_TAIL_LINES = 15

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Wishes:
    """What is to be checked: `pipelines`, by default all; without `base` as if all had changed.

    `profile` is the one under which sampled runs are made, of about `rows` rows; with `anew` these
    are chosen again.
    """

    pipelines: tuple[str, ...] = ()
    base: str = ""
    profile: str = ""
    rows: int = DEFAULT_ROWS
    anew: bool = False
    tests: bool = True
    sampled_runs: bool = True


@dataclass(frozen=True)
class Checked:
    """All checks that were made, and what was recorded of each pipeline.

    `unrecorded` says why nothing was, where it was not.
    """

    checks: tuple[Check, ...]
    records: tuple[CheckRecord, ...] = ()
    unrecorded: str = ""

    @property
    def passed(self) -> bool:
        """Whether no check failed."""
        return not any(check.state is State.FAILED for check in self.checks)


def check_project(config: Config, wishes: Wishes, tell: Tell) -> Checked:
    """Check pipelines of a project, and record what came of it by their fingerprints.

    Nothing is recorded where the project has changed meanwhile: what was checked is there no more.

    Raises:
      ConfigError: there is no penstock.toml, or no pipeline, profile or base of that name.
    """
    if config.path is None:
        raise ConfigError(
            f"there is no {FILE_NAME} here or above", hint="penstock init writes one."
        )
    names = _names(config, wishes.pipelines)
    config.profile(wishes.profile or None)
    with _alone(config.folder / FOLDER):
        return _check(config, wishes, names, tell)


def _check(config: Config, wishes: Wishes, names: list[str], tell: Tell) -> Checked:
    changed = _changed(config, wishes, names)
    before = _fingerprints(config, names)
    checks: list[Check] = []
    tell("compiling, and looking at contracts and schemas")
    checks += _examined(config, names)
    broken = {check.pipeline for check in checks if check.state is State.FAILED}
    checks.append(_tested(config, wishes, tell))
    for name in names:
        checks.append(_run_on_sample(name, config, wishes, changed, broken, before, tell))
    after = _fingerprints(config, names)
    if before != after:
        why = "the project has changed while it was checked: check it again"
        return Checked(tuple(checks), unrecorded=why)
    records = _records(config, before, checks)
    for record in records:
        record_checks(config.folder, record)
    return Checked(tuple(checks), tuple(records))


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Make the folder for what checks keep, which git leaves alone, and be the only one in it.

    Raises:
      RunError: another check of the project is under way.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ".gitignore").write_text("*\n", encoding="utf-8")
    with (folder / "lock").open("w") as file:
        if not locks.lock(file.fileno(), wait_seconds=0):
            raise RunError(
                f"another check of this project is under way ({folder})",
                hint="Wait until it is done: both would run in the same folder.",
            )
        yield


def _names(config: Config, wanted: Iterable[str]) -> list[str]:
    for name in wanted:
        if name not in config.pipelines:
            raise ConfigError(
                f"there is no pipeline {name!r}",
                path=str(config.path),
                hint=suggestion(name, config.pipelines, noun="pipeline"),
            )
    return sorted(set(wanted) or config.pipelines)


def _changed(config: Config, wishes: Wishes, names: Iterable[str]) -> set[str]:
    if not wishes.base:
        return set(names)
    change = plan_change(config, wishes.base, wishes.profile or None)
    return {pipeline.name for pipeline in change.pipelines if pipeline.kind is not Kind.SAME}


def _fingerprints(config: Config, names: Iterable[str]) -> dict[str, str]:
    """Return the fingerprints of the pipelines that compile."""
    described = describe_pipelines(config, names)
    return {name: d.fingerprint for name, d in sorted(described.items()) if d.fingerprint}


def _examined(config: Config, names: Iterable[str]) -> list[Check]:
    return _asked(config, Request(str(config.folder), "", task="examine", only=tuple(names)))


def _asked(config: Config, request: Request, patience: float | None = None) -> list[Check]:
    folder = config.folder.resolve()
    with process.start(replace(request, folder=str(folder), top=str(folder))) as running:
        told = running.answer(patience)
    return [check_from(table) for table in told["checks"]]


def _tested(config: Config, wishes: Wishes, tell: Tell) -> Check:
    """Run the project's tests, by pytest, without leaving its cache behind."""
    if not wishes.tests:
        return Check(TESTS, State.SKIPPED, "they were left out, by --no-tests", left_out=True)
    folder = config.folder.resolve()
    if not any(_test_files(folder)):
        return Check(TESTS, State.SKIPPED, "the project has none")
    tell("running the project's tests")
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=folder,
        env={**keras.child_environment(), "PYTHONDONTWRITEBYTECODE": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    took = round(time.monotonic() - began, 3)
    lines = done.stdout.strip().splitlines()
    last = lines[-1].strip("= ") if lines else ""
    if done.returncode == _NO_TESTS:
        return Check(TESTS, State.SKIPPED, "pytest finds none", seconds=took)
    if done.returncode == 0:
        return Check(TESTS, State.PASSED, last, seconds=took)
    if "No module named pytest" in done.stdout:
        return Check(
            TESTS,
            State.FAILED,
            "the project has tests, and pytest is not installed",
            hint="pip install pytest",
            seconds=took,
        )
    tail = "\n".join(lines[-_TAIL_LINES:])
    hint = "Run them: python -m pytest."
    return Check(TESTS, State.FAILED, tail, where=str(folder), hint=hint, seconds=took)


def _test_files(folder: Path) -> Iterator[Path]:
    """Yield files of tests; those of other programs' folders are none of the project's."""
    for place, folders, files in os.walk(folder):
        folders[:] = [
            name
            for name in folders
            if not name.startswith(".") and name not in ("node_modules", "site-packages", "venv")
        ]
        for name in files:
            is_test = name.startswith("test_") or name.endswith("_test.py")
            if is_test and name.endswith(".py"):
                yield Path(place, name)


def _run_on_sample(
    name: str,
    config: Config,
    wishes: Wishes,
    changed: Iterable[str],
    broken: Iterable[str],
    fingerprints: Mapping[str, str],
    tell: Tell,
) -> Check:
    if name in broken:
        reason = "it does not come that far: see above"
        return Check(SAMPLED_RUN, State.SKIPPED, reason, name, left_out=True)
    if not wishes.sampled_runs:
        reason = "it was left out, by --no-run"
        return Check(SAMPLED_RUN, State.SKIPPED, reason, name, left_out=True)
    if name not in changed:
        earlier = _earlier(config, fingerprints.get(name, ""))
        if earlier is not None:
            return earlier
        reason = f"it is as in {wishes.base}, and has no sampled run on record here"
        return Check(SAMPLED_RUN, State.SKIPPED, reason, name, left_out=True)
    tell(f"running {name} on a sample of about {wishes.rows} rows")
    request = Request(
        "", "", wishes.profile, "run", only=(name,), rows=wishes.rows, anew=wishes.anew
    )
    try:
        [check] = _asked(config, request)
    except PenstockError as error:
        return Check(SAMPLED_RUN, State.FAILED, str(error), name)
    return check


def _earlier(config: Config, fingerprint: str) -> Check | None:
    """Return the sampled run that is on record for a fingerprint."""
    record = read_checks(config.folder, fingerprint) if fingerprint else None
    for check in record.checks if record is not None else ():
        if check.name == SAMPLED_RUN and check.state in (State.PASSED, State.WARNED):
            return check
    return None


def _records(
    config: Config, fingerprints: Mapping[str, str], checks: Iterable[Check]
) -> list[CheckRecord]:
    checks = tuple(checks)
    at = datetime.now(UTC).isoformat(timespec="seconds")
    try:
        commit = find_repository(config.folder).head()
    except PenstockError:
        commit = ""
    return [
        CheckRecord(
            fingerprint,
            name,
            tuple(check for check in checks if check.pipeline in ("", name)),
            commit,
            at,
        )
        for name, fingerprint in fingerprints.items()
    ]


def as_json(checked: Checked) -> dict[str, Any]:
    """Return what is written for programs."""
    from penstock.operations.delivery.checks import as_json as check_as_json

    return {
        "passed": checked.passed,
        "checks": [check_as_json(check) for check in checked.checks],
        "recorded": [
            {
                "pipeline": record.pipeline,
                "fingerprint": record.fingerprint,
                "passed": record.passed,
                "obstacles": record.obstacles(),
            }
            for record in checked.records
        ],
        "unrecorded": checked.unrecorded,
    }
