"""File systems without locks, as some NFS, are told where locks are needed, and not elsewhere."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
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
    """A library that lets locks fail below a folder."""
    source = Path(penstock_support.__file__).with_name("no_locks.c")
    library = tmp_path_factory.mktemp("shim") / "no_locks.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    return library


@pytest.fixture
def run(shim: Path, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a pipeline whose folder `shared` has no locks, with folders by name."""
    for name in ("shared", "local"):
        (tmp_path / name).mkdir()
    (tmp_path / "pushing.py").write_text(PIPELINE)

    def run(**folders: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / "penstock.toml").write_text(
            '[pipelines]\npushing = "pushing.py:pushing"\n[profiles.default]\n'
            f'pipeline_root = "{folders["root"]}"\n'
            f'metadata = "{folders["store"]}/metadata.sqlite"\n'
        )
        serving = tmp_path / folders["serving"] / "serving"
        return subprocess.run(
            [sys.executable, command.__file__, "run", "pushing", "-p", f"folder={serving}"],
            cwd=tmp_path,
            env={
                **os.environ,
                "LD_PRELOAD": str(shim),
                "NO_LOCKS_BELOW": str(tmp_path / "shared"),
            },
            capture_output=True,
            text=True,
            check=False,
        )

    return run


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
