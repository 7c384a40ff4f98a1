from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from penstock_support import IMPORT_PATH


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("project")
    (folder / "mine.py").write_text(
        f"import sys\nsys.path.insert(0, {IMPORT_PATH!r})\n"
        "from penstock_support.example_components import training\n"
    )
    (folder / "penstock.toml").write_text(
        '[pipelines]\ntraining = "mine.py:training"\ntriage = "mine.py:training"\n'
        "[profiles.nightly]\n[environments.production]\n[deployments.taxi]\n"
        '[profiles.cluster.kubeflow]\nhost = "http://kubeflow.example"\nimage = "registry/image"\n'
    )
    return folder


def penstock(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(Path(sys.executable).with_name("penstock")), *arguments],
        cwd=folder,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def offered(folder: Path, line: str) -> list[str]:
    """What bash offers for the last word of a line."""
    words = line.split(" ")
    done = penstock(
        folder,
        _PENSTOCK_COMPLETE="bash_complete",
        COMP_WORDS=line,
        COMP_CWORD=str(len(words) - 1),
    )
    return [entry.removeprefix("plain,") for entry in done.stdout.split()]


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("penstock comp", ["compare", "completion", "compile"]),
        ("penstock run tr", ["training", "triage"]),
        ("penstock run training --profile ni", ["nightly"]),
        ("penstock run training --from T", ["TrainModel"]),
        ("penstock show ", []),
        ("penstock status l", []),
        ("penstock status --profile cluster ", ["latest"]),
        ("penstock logs --profile cluster ", ["latest"]),
        ("penstock run no-such-pipeline --from T", []),
    ],
)
def test_a_shell_is_offered_the_names_that_there_are(project, line, names):
    assert offered(project, line) == names


def test_a_shell_is_offered_the_runs_of_the_store(project):
    assert penstock(project, "run", "training").returncode == 0
    for command in ("show", "report", "logs"):
        names = offered(project, f"penstock {command} ")
        assert names[0] == "latest"
        assert len(names) == 2
    assert "TrainModel" in offered(project, "penstock logs latest ")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_for_a_shell_asks_penstock(project, shell):
    done = penstock(project, "completion", shell)
    assert done.returncode == 0, done.stderr
    assert f"_PENSTOCK_COMPLETE={shell}_complete" in done.stdout


def test_bash_reads_its_script(project):
    script = penstock(project, "completion", "bash").stdout
    done = subprocess.run(
        ["bash", "-c", f"{script}\ncomplete -p penstock"], capture_output=True, text=True
    )
    assert "-F _penstock_completion penstock" in done.stdout


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("penstock release status ", ["taxi"]),
        ("penstock rollback t", ["taxi"]),
        ("penstock release watch taxi --env p", ["production"]),
    ],
)
def test_deployments_and_environments_are_offered(project, line, expected):
    assert offered(project, line) == expected
