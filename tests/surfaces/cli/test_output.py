"""Output that commands a terminal, and output that cannot be written."""

from __future__ import annotations

import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path

import pyte
import pytest

from penstock_support import IMPORT_PATH

pytestmark = pytest.mark.core

PENSTOCK = (sys.executable, "-W", "ignore", "-m", "penstock")
# It clears the screen, sets a title, goes to the first line, and forges two.
HOSTILE = "x\x1b[2J\x1b]0;forged\x07\x1b[1;1H\nerror: forged\r\n\x9b8mdone     forged"
COMMANDS = [
    ("plan", "training"),
    ("runs",),
    ("show", "latest"),
    ("logs", "latest~1", "Fails"),
]


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    (folder / "mine.py").write_text(
        f"import sys\nsys.path.insert(0, {IMPORT_PATH!r})\n"
        "from penstock_support import example_components as examples\n"
        "from penstock_support.example_components import training\n"
        "from penstock import pipeline\n"
        "@pipeline\n"
        "def failing(message: str = 'no such luck'):\n"
        "    return examples.Fails(message=message)\n"
    )
    (folder / "penstock.toml").write_text(
        '[pipelines]\ntraining = "mine.py:training"\nfailing = "mine.py:failing"\n'
    )
    failed = call(folder, "run", "failing", "-p", f"message={HOSTILE}")
    assert failed.returncode == 1, failed.stderr
    trained = call(folder, "run", "training")
    assert trained.returncode == 0, trained.stderr
    return folder


@pytest.fixture
def project(made, tmp_path) -> Path:
    """A copy, since tests name runs by how many came after them."""
    return Path(shutil.copytree(made, tmp_path / "project", symlinks=True))


def call(folder: Path, *arguments: str, **streams: object) -> subprocess.CompletedProcess[str]:
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams}
    return subprocess.run([*PENSTOCK, *arguments], cwd=folder, text=True, check=False, **options)


def screen_of(folder: Path, *arguments: str) -> pyte.Screen:
    """What a terminal shows in the end."""
    ours, theirs = pty.openpty()
    screen = pyte.Screen(400, 100)
    stream = pyte.ByteStream(screen)
    process = subprocess.Popen(
        [*PENSTOCK, *arguments],
        cwd=folder,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "400"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    try:
        while data := os.read(ours, 4096):
            stream.feed(data)
    except OSError:  # the other end is closed
        pass
    os.close(ours)
    process.wait()
    return screen


def assert_obeyed_nothing(screen: pyte.Screen, shown: str) -> None:
    rows = [row.rstrip() for row in screen.display]
    assert any(shown in row for row in rows), rows
    assert not [row for row in rows if row.startswith(("error: forged", "done     forged"))]
    assert screen.title == ""


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "failing", "-p", f"message={HOSTILE}"),
        ("show", "latest~1"),
        ("run", f"failing{HOSTILE}"),
        ("show", HOSTILE),
        ("run", "failing", "-p", f"{HOSTILE}=1"),
    ],
    ids=["an error", "a parameter", "a pipeline's name", "a run's name", "a parameter's name"],
)
def test_a_text_of_others_is_shown_and_commands_no_terminal(project, arguments):
    assert_obeyed_nothing(screen_of(project, *arguments), r"\x1b[2J\x1b]0;forged\x07")


@pytest.mark.parametrize("label", ["y", "nothing"], ids=["a remark", "an error"])
def test_a_header_of_a_file_commands_no_terminal(tmp_path, label):
    header = HOSTILE.replace("\r", "")
    rows = "".join(f"{row % 3}.5,{row % 2}\n" for row in range(40))
    (tmp_path / "table.csv").write_text(f'"{header}","y"\n{rows}', newline="")
    screen = screen_of(tmp_path, "init", "made", "--data", "table.csv", "--label", label)
    assert_obeyed_nothing(screen, r"\x1b[2J" if label == "nothing" else "next")


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_output_that_has_no_room_is_an_error_in_one_line(project, arguments):
    with open("/dev/full", "w") as full:
        done = call(project, *arguments, stdout=full)
    assert done.returncode == 2
    assert done.stderr.startswith("error: the output could not be written: No space left")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["completion", "bash"]])
def test_what_click_prints_and_has_no_room_is_an_error_in_one_line(tmp_path, arguments):
    with open("/dev/full", "w") as full:
        done = call(tmp_path, *arguments, stdout=full)
    assert done.returncode == 2
    said = "error: the output could not be written: No space left on device. Give it room"
    assert done.stderr.startswith(said)
    assert "Traceback" not in done.stderr


def test_a_run_without_room_for_its_output_ends_as_it_would(project):
    with open("/dev/full", "w") as full:
        done = call(project, "run", "training", stdout=full)
    assert done.returncode == 0
    assert "warning: the output could not be written: No space left" in done.stderr


@pytest.mark.parametrize(("pipeline", "code"), [("training", 0), ("failing", 1)])
def test_a_run_without_room_for_its_progress_ends_as_it_would(project, pipeline, code):
    with open("/dev/full", "w") as full:
        done = call(project, "run", pipeline, "--no-cache", stdout=full, stderr=full)
    assert done.returncode == code
    [run] = call(project, "runs", "-n", "1").stdout.splitlines()
    assert run.startswith("failed" if code else "done")


@pytest.mark.parametrize("arguments", [("run", "training"), *COMMANDS], ids=" ".join)
def test_a_reader_that_has_seen_one_line_is_no_error(project, arguments):
    command = '"$@" 2>&1 | head -1 >&2; exit ${PIPESTATUS[0]}'
    done = subprocess.run(
        ["bash", "-c", command, "bash", *PENSTOCK, *arguments],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("arguments", [("run", "training"), *COMMANDS], ids=" ".join)
def test_a_terminal_that_is_gone_is_no_error(project, arguments):
    ours, theirs = pty.openpty()
    os.close(ours)
    done = call(project, *arguments, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    assert done.returncode == 0


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&- <&-"])
def test_a_run_needs_no_stream(project, closed):
    done = subprocess.run(
        ["bash", "-c", f'"$@" {closed}', "bash", *PENSTOCK, "run", "training", "--no-cache"],
        cwd=project,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0
