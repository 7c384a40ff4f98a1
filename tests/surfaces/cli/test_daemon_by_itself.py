from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from penstock.execution.daemon import asking, places, starting
from penstock_support import IMPORT_PATH
from penstock_support.processes import MARK, alive, wait_until

LINE = "Warm workers stand by for the next run; penstock daemon stop ends them.\n"
PIPELINE = '''
from penstock import component, pipeline


@component(preload=("numpy",))
def Adds(a: int) -> int:
    """Add one."""
    return a + 1


@component(preload=("numpy",))
def Fails(a: int) -> int:
    """Fail."""
    raise ValueError("it fails")


@component
def Light(a: int) -> int:
    """Need nothing."""
    return a


@pipeline
def adds(a: int = 1):
    return Adds(a=a)


@pipeline
def fails(a: int = 1):
    return Fails(a=a)


@pipeline
def light(a: int = 1):
    return Light(a=a)
'''
TOML = "\n".join(
    ["[pipelines]", *(f'{n} = "of_a_daemon.py:{n}"' for n in ("adds", "fails", "light")), ""]
)
Penstock = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def project(tmp_path, monkeypatch) -> Iterator[Path]:
    """A project whose runs start a daemon by themselves; no process is left of it."""
    runtime, folder = tmp_path / "runtime", tmp_path / "project"
    runtime.mkdir(mode=0o700)
    folder.mkdir()
    mark = str(tmp_path)
    for name in (asking.VARIABLE, "CI", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    monkeypatch.setenv("PYTHONPATH", IMPORT_PATH)
    monkeypatch.setenv(MARK, mark)
    monkeypatch.chdir(folder)
    (folder / "penstock.toml").write_text(TOML)
    (folder / "of_a_daemon.py").write_text(PIPELINE)
    yield folder
    asking.stop(str(folder))
    wait_until(lambda: set(alive(mark)) <= {os.getpid()})


@pytest.fixture
def penstock(project) -> Penstock:
    """Run a command with pipes, which must be free when it ends."""

    def run(*arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-m", "penstock", *arguments],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stderr
        return done

    return run


def ready(project: Path) -> asking.DaemonStatus:
    found = asking.status_of(str(project))  # it answers when it has imported
    assert found is not None
    return found


def log(project: Path) -> str:
    return "\n".join(path.read_text() for path in sorted(project.rglob(".workers.log")))


def test_a_run_starts_a_daemon_and_the_next_one_has_its_workers_of_it(project, penstock):
    assert penstock("run", "adds").stderr.endswith(LINE)
    assert ready(project).imported == ("numpy",)
    assert LINE not in penstock("run", "adds", "-p", "a=2").stderr
    assert ready(project).lent >= 1
    assert "they come of a copy of the project's daemon" in log(project)


def test_it_has_nothing_of_the_run_that_has_started_it(project, penstock):
    penstock("run", "adds")
    process = ready(project).process_id
    assert os.getsid(process) == process
    assert not os.readlink(f"/proc/{process}/cwd").startswith(str(project))
    paths = {os.readlink(path) for path in Path(f"/proc/{process}/fd").iterdir()}
    assert not [path for path in paths if path.startswith(("pipe:", str(project), "/dev/pts"))]


def test_a_run_that_fails_starts_a_daemon_and_resuming_it_uses_that(project, penstock):
    assert LINE in penstock("run", "fails", code=1).stderr
    before = ready(project).lent
    penstock("resume", code=1)
    assert ready(project).lent > before


@pytest.mark.parametrize(
    "variable", [(asking.VARIABLE, "off"), ("CI", "1"), ("KUBERNETES_SERVICE_HOST", "10.0.0.1")]
)
def test_a_variable_keeps_runs_from_starting_a_daemon(project, penstock, monkeypatch, variable):
    monkeypatch.setenv(*variable)
    assert LINE not in penstock("run", "adds").stderr
    assert asking.status_of(str(project)) is None


def test_an_option_keeps_a_run_from_starting_a_daemon(project, penstock):
    assert LINE not in penstock("run", "adds", "--no-daemon").stderr
    assert asking.status_of(str(project)) is None


def test_a_project_may_want_no_daemon(project, penstock):
    (project / "penstock.toml").write_text(f"{TOML}[daemon]\nstart = false\n")
    assert LINE not in penstock("run", "adds").stderr
    assert asking.status_of(str(project)) is None


def test_a_folder_that_is_no_project_gets_no_daemon(project, penstock):
    (project / "penstock.toml").unlink()
    assert LINE not in penstock("run", "of_a_daemon.py:adds").stderr
    assert asking.status_of(str(project)) is None


def test_a_run_that_imports_nothing_ahead_starts_no_daemon(project, penstock):
    assert LINE not in penstock("run", "light").stderr
    penstock("run", "adds", "--no-daemon")
    assert LINE not in penstock("run", "adds").stderr  # all of it comes from the cache
    assert asking.status_of(str(project)) is None


def test_a_daemon_is_gone_when_no_run_has_needed_it_for_a_while(project, penstock):
    (project / "penstock.toml").write_text(f"{TOML}[daemon]\nidle_minutes = 0.005\n")
    assert LINE in penstock("run", "adds").stderr
    wait_until(lambda: set(alive(os.environ[MARK])) <= {os.getpid()})


def test_a_daemon_is_gone_when_its_project_is(project, penstock, monkeypatch):
    penstock("run", "adds")
    monkeypatch.chdir(project.parent)
    shutil.rmtree(project)
    wait_until(lambda: set(alive(os.environ[MARK])) <= {os.getpid()})


def missed(project: Path) -> asking.Lender:
    lender = asking.Lender(str(project))
    assert lender(("json.tool",), str(project / "workers.log")) is None
    return lender


def test_of_two_runs_that_end_at_once_one_starts_a_daemon(project):
    lenders = [missed(project) for _ in range(2)]
    assert [asking.stand_by(lender, 600) for lender in lenders] == [True, False]


def test_a_daemon_can_be_stopped_from_the_moment_that_it_is_started(project):
    assert asking.stand_by(missed(project), 600)
    assert asking.stop(str(project)) is not None
    wait_until(lambda: set(alive(os.environ[MARK])) <= {os.getpid()})


def test_a_person_who_starts_a_daemon_that_is_starting_gets_that(project):
    assert asking.stand_by(missed(project), 600)
    assert asking.start(str(project), [], 600).imported == ("json.tool",)


def test_no_run_waits_for_a_daemon_that_is_importing(project, tmp_path):
    assert asking.stand_by(missed(project), 600)
    ready(project)
    with places.opened(str(project), os.environ) as place:
        lock = os.open(place.lock, os.O_RDWR, dir_fd=place.folder)
    starting.say_busy(lock)
    os.close(lock)
    lender = asking.Lender(str(project))
    assert lender(("numpy",), str(tmp_path / "other.log")) is None
    assert "lends none: it is importing" in (tmp_path / "other.log").read_text()
    assert not asking.stand_by(lender, 600)


def test_a_run_without_a_place_for_a_daemon_says_so_in_its_log(project, penstock, tmp_path):
    (tmp_path / "runtime" / "penstock").touch()
    assert LINE not in penstock("run", "adds").stderr
    said = log(project)
    assert "no daemon can be started for the project: no folder of this user's alone" in said


def test_a_file_of_a_daemon_that_cannot_be_written_leaves_the_run_as_it_is(project):
    lender = missed(project)
    with places.opened(str(project), os.environ) as place:
        os.symlink("elsewhere", place.log, dir_fd=place.folder)  # refused, as all that is no file
    assert not asking.stand_by(lender, 600)
    assert "no daemon can be started for the project" in (project / "workers.log").read_text()
    assert asking.status_of(str(project)) is None


def test_the_path_of_the_place_may_be_long(project, penstock, tmp_path, monkeypatch):
    runtime = tmp_path / ("long" * 40)
    runtime.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    assert LINE in penstock("run", "adds").stderr
    assert ready(project).imported == ("numpy",)
