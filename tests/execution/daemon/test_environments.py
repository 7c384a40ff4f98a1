"""A daemon that a run has started by itself, after what it has imported was exchanged."""

from __future__ import annotations

import os
import shutil
import subprocess
import sysconfig
import venv
from pathlib import Path

import pytest

from penstock_support import IMPORT_PATH
from penstock_support.daemons import is_alive
from penstock_support.processes import MARK, alive, wait_until

PYTHON = ("-W", "ignore")  # as runs have it, else a daemon of theirs is none for others
PIPELINE = '''
from of_the_project import WORD

from penstock import component, pipeline


@component(preload=("installed_measure",))
def Measures(round: int) -> str:
    """Say what is installed, and what the project's own module says."""
    import installed_measure
    import of_the_project

    return f"{installed_measure.VERSION} and {of_the_project.WORD}"


@pipeline
def measures(round: int = 0):
    return Measures(round=round)
'''


class Project:
    """A project with a Python environment of its own, in which one package is installed."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.environment = folder, folder.parent / "environment"
        (folder / "penstock.toml").write_text('[pipelines]\nmeasures = "measuring.py:measures"\n')
        (folder / "measuring.py").write_text(PIPELINE)
        self.say("a word")
        self.rounds = 0

    def make_environment(self, version: str) -> None:
        """Make the environment, anew where there is one, with a version of the package."""
        shutil.rmtree(self.environment, ignore_errors=True)
        venv.create(self.environment, symlinks=True)
        ours = f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n{IMPORT_PATH}\n"
        (self.packages / "ours.pth").write_text(ours)
        self.install(version)

    @property
    def packages(self) -> Path:
        [found] = self.environment.glob("lib/python*/site-packages")
        return found

    def install(self, version: str) -> None:
        """Put a version of the package in the place of the one that is there."""
        for old in self.packages.glob("installed_measure*"):
            shutil.rmtree(old)
        package = self.packages / "installed_measure"
        package.mkdir()
        (package / "__init__.py").write_text(f"VERSION = {version!r}\n")
        (self.packages / f"installed_measure-{version}.dist-info").mkdir()

    def say(self, word: str) -> None:
        """Edit the project's own module."""
        (self.folder / "of_the_project.py").write_text(f"WORD = {word!r}\n")

    def run(self) -> str:
        """Run the pipeline; return what its node says."""
        self.rounds += 1
        arguments = (*PYTHON, "-m", "penstock", "run", "measures")
        done = subprocess.run(
            [self.environment / "bin" / "python", *arguments, "-p", f"round={self.rounds}"],
            cwd=self.folder,
            check=False,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        made = self.folder.rglob("Measures/*/*/value")
        return max(made, key=lambda path: path.stat().st_mtime_ns).read_text()

    def daemons(self) -> list[int]:
        """Return the processes that are there of the project."""
        return [process for process in alive(os.environ[MARK]) if process != os.getpid()]

    def logs(self) -> str:
        """Return what the runs say of where their workers come from."""
        return "\n".join(path.read_text() for path in sorted(self.folder.rglob(".workers.log")))


@pytest.fixture
def exchanged(project, monkeypatch):
    monkeypatch.setenv(MARK, str(project))
    monkeypatch.delenv("PYTHONPATH")
    made = Project(project)
    made.make_environment("1.0")
    yield made
    shutil.rmtree(project)  # with its project each daemon ends
    wait_until(lambda: not made.daemons())
    project.mkdir()


def ready(exchanged: Project) -> int:
    """Return the daemon of the project when it has imported, by the environment's own command."""
    script = (
        "import sys\n"
        "from penstock.execution.daemon.asking import status_of\n"
        "found = status_of(sys.argv[1])\n"
        "print(found.process_id if found and not found.differs else 0, *found.imported)"
    )
    done = subprocess.run(
        [exchanged.environment / "bin" / "python", *PYTHON, "-c", script, exchanged.folder],
        capture_output=True,
        text=True,
        check=True,
    )
    process, *imported = done.stdout.split()
    assert imported == ["installed_measure"]
    assert process != "0"
    return int(process)


def test_an_edited_module_of_the_project_is_what_runs(exchanged):
    assert exchanged.run() == "1.0 and a word"
    first = ready(exchanged)
    exchanged.say("another")
    assert exchanged.run() == "1.0 and another"
    assert "they come of a copy of the project's daemon" in exchanged.logs()
    assert ready(exchanged) == first


def test_an_upgraded_package_is_what_runs_and_is_imported_anew(exchanged):
    exchanged.run()
    first = ready(exchanged)
    exchanged.install("2.0")
    assert exchanged.run() == "2.0 and a word"
    assert "has changed; it is started anew" in exchanged.logs()
    wait_until(lambda: not is_alive(first))
    assert ready(exchanged) != first
    assert exchanged.run() == "2.0 and a word"
    assert "they come of a copy of the project's daemon" in exchanged.logs()


def test_another_environment_in_the_same_place_is_what_runs(exchanged):
    exchanged.run()
    first = ready(exchanged)
    exchanged.make_environment("1.0")
    (exchanged.packages / "installed_measure" / "__init__.py").write_text("VERSION = 'other'\n")
    assert exchanged.run() == "other and a word"
    wait_until(lambda: not is_alive(first))
    assert exchanged.run() == "other and a word"
