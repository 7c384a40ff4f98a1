"""What holds for all commands: JSON for programs, colours for terminals, exit codes, errors."""

from __future__ import annotations

import json
import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from penstock_support import IMPORT_PATH

PENSTOCK = (sys.executable, "-W", "ignore", "-m", "penstock")


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("project")
    (folder / "mine.py").write_text(
        f"import sys\nsys.path.insert(0, {IMPORT_PATH!r})\n"
        "from penstock_support import example_components as examples\n"
        "from penstock_support.example_components import training\n"
        "from penstock import pipeline\n"
        "@pipeline\n"
        "def failing():\n"
        "    return examples.Fails()\n"
    )
    (folder / "penstock.toml").write_text(
        '[pipelines]\ntraining = "mine.py:training"\nfailing = "mine.py:failing"\n'
    )
    return folder


def penstock(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PENSTOCK, *arguments], cwd=folder, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def ran(project):
    return penstock(project, "run", "training", "--json")


@pytest.fixture(scope="module")
def failed(project, ran):
    return penstock(project, "run", "failing", "--json")


def on_a_terminal(folder: Path, *arguments: str, **variables: str) -> bytes:
    """What a command writes to a terminal."""
    ours, theirs = pty.openpty()
    environment = {k: v for k, v in os.environ.items() if k != "NO_COLOR"}
    done = subprocess.Popen(
        [*PENSTOCK, *arguments],
        cwd=folder,
        env={**environment, "TERM": "xterm-256color", **variables},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    written = b""
    while True:
        try:
            read = os.read(ours, 4096)
        except OSError:  # the other end is closed
            break
        if not read:
            break
        written += read
    os.close(ours)
    done.wait()
    return written


def test_a_run_tells_a_program_what_came_of_it(ran):
    said = json.loads(ran.stdout)
    assert said["state"] == "done"
    assert [node["state"] for node in said["nodes"]] == ["done"] * len(said["nodes"])


def test_a_run_that_failed_tells_a_program_why_and_exits_with_1(failed):
    [node] = json.loads(failed.stdout)["nodes"]
    assert failed.returncode == 1
    assert node["state"] == "failed"
    assert "no such luck" in node["error"]


def test_a_failure_is_said_once_after_the_progress_and_with_what_goes_on(project, tmp_path):
    shutil.copytree(project, tmp_path, dirs_exist_ok=True)  # whose runs others count
    done = penstock(tmp_path, "run", "failing")
    _, _, after = done.stderr.partition("Fails failed: ")
    assert after.count("no such luck") == 1
    assert "fix that, and go on: penstock resume " in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ("list",),
        ("runs",),
        ("show", "latest"),
        ("plan", "training"),
        ("compare", "latest", "latest"),
        ("lineage", "latest~1/TrainModel/model"),
        ("gc",),
        ("logs", "latest"),
        ("report", "latest"),
        ("doctor",),
    ],
    ids=lambda arguments: arguments[0],
)
def test_what_a_program_may_read_is_json_alone(project, failed, arguments):
    done = penstock(project, *arguments, "--json")
    json.loads(done.stdout)
    assert "\x1b" not in done.stdout + done.stderr


@pytest.mark.parametrize("arguments", [("show", "latest"), ("shw",)])
def test_a_pipe_gets_no_colours(project, failed, arguments):
    done = penstock(project, *arguments)
    assert "\x1b" not in done.stdout + done.stderr


@pytest.mark.parametrize("arguments", [("show", "latest"), ("show", "nothing")])
def test_a_terminal_gets_colours(project, failed, arguments):
    assert b"\x1b[" in on_a_terminal(project, *arguments)


@pytest.mark.parametrize("arguments", [("show", "latest"), ("show", "nothing")])
def test_a_terminal_gets_no_colours_where_it_wants_none(project, failed, arguments):
    assert b"\x1b[" not in on_a_terminal(project, *arguments, NO_COLOR="1")


def test_a_reader_that_has_seen_enough_is_no_error(project, failed):
    done = subprocess.run(
        ["bash", "-c", f"{' '.join(PENSTOCK)} show latest --json | true; echo ${{PIPESTATUS[0]}}"],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout.strip() in ("0", "1")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("run", "training", "--pararelism", "2"), "error: No such option '--pararelism'. "),
        (
            ("runs", "-n", "few"),
            "error: Invalid value for '-n' / '--most': 'few' is not a valid integer. "
            "See: penstock runs --help\n",
        ),
        (
            ("compile", "training", "-o", "/no/such/folder/ir.json"),
            "error: /no/such/folder/ir.json: No such file or directory. "
            "Check the path, and who may use it.\n",
        ),
        (("show", "latest~9"), "error: there is no run latest~9: the store has 2. "),
        (("plan", "training", "--from", "TrainModl"), "has no node 'TrainModl'"),
        (("ui", "--port", "70000"), "error: Invalid value for '--port': 70000 is not in the range"),
        (("logs", "latest", "Fails", "--json"), "error: --json is for the list of logs; "),
    ],
)
def test_a_wrong_request_is_one_paragraph_and_exits_with_2(project, failed, arguments, text):
    done = penstock(project, *arguments)
    assert done.returncode == 2
    assert done.stderr.startswith(text) or text in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_the_run_before_the_latest_has_a_name(project, failed):
    shown = json.loads(penstock(project, "show", "latest~1", "--json").stdout)
    assert shown["pipeline_name"] == "training"
