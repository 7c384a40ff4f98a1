"""Two users of one machine with one pipeline root, one store and one folder of models."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from penstock_support import command

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be two users")

# Users without an entry in the system's list, as a container's may be, and the group of both.
ANN, BOB, TEAM = 31001, 31002, 31000

PIPELINE = """
import os
from penstock import Output, component, pipeline
from penstock.artifacts import Model
from penstock.components import Pusher
from penstock.components.pusher.component import Filesystem, PushDestination


@component
def Make(model: Output[Model], seed: int) -> None:
    os.makedirs(os.path.join(model.uri, "Format-Serving"))
    with open(os.path.join(model.uri, "Format-Serving", "model"), "w") as file:
        file.write(f"weights {seed}")


@pipeline
def pushing(seed: int):
    destination = PushDestination(Filesystem(os.path.join(os.getcwd(), "serving")))
    return Pusher(model=Make(seed=seed).outputs["model"], push_destination=destination)
"""

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def project() -> Iterator[Path]:
    """A project whose folder belongs to the group, and gives that on to what is made in it."""
    folder = Path(tempfile.mkdtemp(prefix="penstock-team-"))
    os.chown(folder, ANN, TEAM)
    os.chmod(folder, 0o2775)
    (folder / "pushing.py").write_text(PIPELINE)
    (folder / "penstock.toml").write_text(
        '[pipelines]\npushing = "pushing.py:pushing"\n'
        '[profiles.default]\npipeline_root = "root"\nmetadata = "root/metadata.sqlite"\n'
    )
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def run(project: Path) -> Run:
    """Run the pipeline as a user with a seed. Each may read all: Python may be in a home."""

    def run(user: int, umask: str, seed: int) -> subprocess.CompletedProcess[str]:
        may_read = "+dac_read_search"
        as_user = [
            *("setpriv", f"--reuid={user}", f"--regid={user}", f"--groups={TEAM}"),
            *("--inh-caps", may_read, "--ambient-caps", may_read),
            *("sh", "-c", f'umask {umask}; exec "$@"', "sh"),
        ]
        said = {name: value for name, value in os.environ.items() if name not in _NAMES}
        return subprocess.run(
            [*as_user, sys.executable, command.__file__, "run", "pushing", "-p", f"seed={seed}"],
            cwd=project,
            env={**said, "HOME": str(project)},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


_NAMES = ("LOGNAME", "USER", "LNAME", "USERNAME")


def test_one_takes_what_the_other_has_made_from_the_cache(run):
    assert run(ANN, "002", seed=1).returncode == 0
    done = run(BOB, "002", seed=1)
    assert done.returncode == 0, done.stderr
    assert "Pusher  cached" in done.stderr


def test_one_runs_and_pushes_after_the_other(run, project):
    assert run(ANN, "002", seed=1).returncode == 0
    done = run(BOB, "002", seed=2)
    assert done.returncode == 0, done.stdout + done.stderr
    pushed = sorted(project.glob("serving/*/model"))
    assert [(file.read_text(), file.stat().st_uid) for file in pushed] == [
        ("weights 1", ANN),
        ("weights 2", BOB),
    ]


def test_what_the_umask_of_one_keeps_from_the_other_is_named(run, project):
    assert run(ANN, "022", seed=1).returncode == 0
    done = run(BOB, "022", seed=2)
    assert done.returncode == 2
    assert f"Allow this user to write {project}/root" in done.stderr
