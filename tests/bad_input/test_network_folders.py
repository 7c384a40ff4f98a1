"""Folders on NFS: without locks, which are needed in few places, and with files that go stale."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

import penstock_support
from penstock_support import command

pytestmark = [
    pytest.mark.core,
    pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler"),
]

PIPELINE = """
import os
from penstock import Output, component, pipeline
from penstock.artifacts import Model
from penstock.components import Pusher
from penstock.components.pusher.component import Filesystem, PushDestination


@component
def Make(model: Output[Model]) -> None:
    os.makedirs(os.path.join(model.uri, "Format-Serving"))
    with open(os.path.join(model.uri, "Format-Serving", "model"), "w") as file:
        file.write("weights")


@pipeline
def pushing(folder: str):
    destination = PushDestination(Filesystem(folder))
    return Pusher(model=Make().outputs["model"], push_destination=destination)
"""


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library that makes a folder like one on NFS."""
    source = Path(penstock_support.__file__).with_name("nfs.c")
    library = tmp_path_factory.mktemp("shim") / "nfs.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    return library


@dataclass(frozen=True)
class Project:
    """A project with a folder `shared`, as on NFS, and a folder `local`."""

    folder: Path
    shim: Path

    def run(self, stale_at: int = 0, **folders: str) -> subprocess.CompletedProcess[str]:
        """Run its pipeline, with folders by name; `shared` has no locks."""
        (self.folder / "penstock.toml").write_text(
            '[pipelines]\npushing = "pushing.py:pushing"\n[profiles.default]\n'
            f'pipeline_root = "{folders["root"]}"\n'
            f'metadata = "{folders["store"]}/metadata.sqlite"\n'
        )
        shared, counted = str(self.folder / "shared"), self.folder / "counted"
        counted.write_bytes(bytes(8))
        serving = self.folder / folders["serving"] / "serving"
        return self.call(
            *("run", "pushing", "-p", f"folder={serving}"),
            LD_PRELOAD=str(self.shim),
            NO_LOCKS_BELOW=shared,
            STALE_BELOW=shared,
            STALE_COUNT=str(counted),
            STALE_AT=str(stale_at),
        )

    def call(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, command.__file__, *arguments],
            cwd=self.folder,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            check=False,
        )

    @property
    def calls(self) -> int:
        """How many calls of the last run were about what is in `shared`."""
        return int.from_bytes((self.folder / "counted").read_bytes(), sys.byteorder)


def project_in(folder: Path, shim: Path) -> Project:
    for name in ("shared", "local"):
        (folder / name).mkdir(parents=True)
    (folder / "pushing.py").write_text(PIPELINE)
    return Project(folder, shim)


@pytest.fixture
def run(shim: Path, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the pipeline of a project."""
    return project_in(tmp_path, shim).run


def test_a_store_needs_locks(run, tmp_path):
    done = run(root="local", store="shared", serving="local")
    assert done.returncode == 2
    store = tmp_path / "shared" / "metadata.sqlite"
    assert f"the metadata store {store} cannot be used: its file system has no" in done.stderr
    assert "or in a server: mysql:// or postgresql://" in done.stderr


def test_artifacts_need_none(run, tmp_path):
    done = run(root="shared", store="local", serving="local")
    assert done.returncode == 0, done.stderr
    assert list((tmp_path / "local" / "serving").glob("*/model"))


def test_where_models_are_pushed_needs_locks(run):
    done = run(root="local", store="local", serving="shared")
    assert done.returncode == 1
    assert "shared/serving/.penstock-push.lock has no locks" in done.stdout + done.stderr


@pytest.fixture(scope="module")
def usual_calls(shim: Path, tmp_path_factory: pytest.TempPathFactory) -> int:
    project = project_in(tmp_path_factory.mktemp("usual"), shim)
    done = project.run(root="shared", store="local", serving="local")
    assert done.returncode == 0, done.stderr
    return project.calls


@pytest.mark.parametrize("part", [0.35, 0.6, 0.8, 0.9])
def test_a_run_whose_file_went_stale_is_done_or_says_so_and_can_be_gone_on_with(
    shim, tmp_path, usual_calls, part
):
    project = project_in(tmp_path, shim)
    done = project.run(round(usual_calls * part), root="shared", store="local", serving="local")
    assert project.calls > usual_calls * part
    said = done.stdout + done.stderr
    assert "Traceback" not in said
    if done.returncode:
        assert "Stale file handle" in said
        resumed = project.call("resume")
        assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    assert len(list((tmp_path / "local" / "serving").glob("*/model"))) == 1
