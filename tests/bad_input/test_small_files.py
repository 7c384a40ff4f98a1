"""Small files that are something else: pipes, devices, huge ones, JSON without a bottom."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from penstock.errors import PenstockError
from penstock.metadata.reading import ArtifactRecord
from penstock.models.class_names import CLASSES_FILE, read_classes
from penstock.models.facts import FACTS_FILE, read_facts
from penstock.models.json_rows import rows_of_lines
from penstock.models.transforming.fitted import FEATURES_FILE, read_features
from penstock.monitoring.measures import FILE, read_report
from penstock.operations.delivery.checks import read_checks
from penstock.operations.releases.targets.filesystem import CONFIG_FILE, ServingFolder
from penstock.operations.releases.targets.local import LocalServer
from penstock.report.evaluations import read_evaluation
from penstock.safety import bounded
from penstock.serving.server.state import read_state

PENSTOCK = [sys.executable, "-m", "penstock"]
# Names of files, and who reads them in a folder.
READERS: dict[str, Callable[[Path], Any]] = {
    CLASSES_FILE: lambda folder: read_classes(str(folder)),
    FACTS_FILE: lambda folder: read_facts(str(folder)),
    FEATURES_FILE: lambda folder: read_features(str(folder)),
    FILE: lambda folder: read_report(str(folder)),
    "m.json": lambda folder: read_state(folder, "m"),
    CONFIG_FILE: lambda folder: ServingFolder("m", str(folder))._read(),
    "server.json": lambda folder: LocalServer("m", str(folder))._service(),
    "eval_config.json": lambda folder: read_evaluation(
        "Evaluator", ArtifactRecord(1, "ModelEvaluation", str(folder), "live", datetime.now())
    ),
    ".penstock/ci/checks/f.json": lambda folder: read_checks(folder, "f"),
}


def pipe(path: Path) -> None:
    os.mkfifo(path)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def bottomless(path: Path) -> None:
    path.write_text("[" * 200_000)


@pytest.fixture
def in_time() -> Iterator[None]:
    """End a test that waits for a pipe."""

    def late(*_: object) -> None:
        raise AssertionError("it waits")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.usefixtures("in_time")
@pytest.mark.parametrize("make", [pipe, device, bottomless], ids=lambda make: make.__name__)
@pytest.mark.parametrize("name", READERS)
def test_what_is_no_small_file_is_an_error_or_left_out(tmp_path, name, make):
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    make(path)
    with suppress(PenstockError):
        READERS[name](tmp_path)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/dev/zero", "expected a text of up to 67,108,864 bytes, and there are more"),
        ("deep.toml", "it cannot be read as TOML: maximum recursion depth exceeded"),
    ],
)
def test_a_config_that_is_none_is_told_in_a_line(tmp_path, path, said):
    (tmp_path / "deep.toml").write_text("a = " + "[" * 100_000)
    command = [*PENSTOCK, "--config", path, "runs"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {said}"), done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("data", ["/dev/zero", "pipe.csv"])
def test_data_of_a_new_project_are_a_file(tmp_path, data):
    os.mkfifo(tmp_path / "pipe.csv")
    command = [*PENSTOCK, "init", "made", "--data", data, "--label", "y"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 2
    assert done.stderr == f"error: expected a file, got a pipe or a device ({data}).\n"


def test_a_line_without_an_end_is_an_error(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"a": 1}\n{"a": "' + b"x" * 100)
    with (
        path.open("rb") as file,
        pytest.raises(PenstockError, match=r"a line has more than 50 bytes \(.*rows.jsonl:2\)"),
    ):
        list(rows_of_lines(bounded.lines_of(file, str(path), longest=50), str(path)))


def test_a_user_s_pipe_is_read(tmp_path):
    read, write = os.pipe()
    os.write(write, b"text")
    os.close(write)
    assert bounded.read_text(f"/dev/fd/{read}", pipes=True) == "text"
    os.close(read)
