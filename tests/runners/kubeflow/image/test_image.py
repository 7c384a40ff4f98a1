"""What goes into an image and what it is called, without an engine."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from penstock.errors import ImageError
from penstock.runners.kubeflow.image.build_context import NEVER, read_context
from penstock.runners.kubeflow.image.building import ImageRequest, build_image, repository_name
from penstock.runners.kubeflow.image.engine import (
    Engine,
    find_engine,
    pushed_as,
    registry_of,
    repository_of,
)

ROOT = Path(__file__).parents[4]


@pytest.fixture
def project(tmp_path):
    """A folder with code, and with much that no image should have."""
    for name in (
        "penstock.toml",
        "taxi/pipeline.py",
        "taxi/__pycache__/pipeline.cpython-313.pyc",
        "data/big.csv",
        "data/README.md",
        ".env",
        ".git/config",
        ".penstock/metadata.sqlite",
        ".venv/bin/python",
        "service/credentials.json",
        "service/tls.key",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path


def names(folder, never=NEVER):
    return sorted(read_context(folder, never).files)


def test_history_environments_results_and_secrets_are_left_out(project):
    assert names(project) == ["data/README.md", "data/big.csv", "penstock.toml", "taxi/pipeline.py"]


def test_a_dockerignore_leaves_out_more_and_takes_back_in(project):
    (project / ".dockerignore").write_text("# data\ndata\n!data/README.md\n!**/*.key\n")
    assert names(project) == [
        "data/README.md",
        "penstock.toml",
        "service/tls.key",
        "taxi/pipeline.py",
    ]


def test_a_link_out_of_the_folder_is_left_out(project, tmp_path_factory):
    secret = tmp_path_factory.mktemp("elsewhere") / "secret"
    secret.write_text("secret")
    (project / "taxi" / "link").symlink_to(secret)
    assert "taxi/link" not in names(project)


def test_the_digest_is_of_names_contents_and_modes(project):
    digests = {read_context(project, NEVER).digest()}
    code = project / "taxi" / "pipeline.py"
    os.utime(code, (0, 0))
    assert read_context(project, NEVER).digest() in digests
    for change in (
        lambda: code.write_text("changed"),
        lambda: code.chmod(code.stat().st_mode | stat.S_IXUSR),
        lambda: code.rename(code.with_name("other.py")),
    ):
        change()
        digest = read_context(project, NEVER).digest()
        assert digest not in digests
        digests.add(digest)
    assert read_context(project, NEVER).digest("debian:13") not in digests


def test_the_image_that_is_written_down_does_not_change_the_digest(project):
    configuration = project / "penstock.toml"
    configuration.write_text('[profiles.a.kubeflow]\nhost = "h"\n')
    before = read_context(project, NEVER).digest()
    configuration.write_text('[profiles.a.kubeflow]\nimage = "team/taxi@sha256:0"\nhost = "h"\n')
    assert read_context(project, NEVER).digest() == before
    configuration.write_text('[profiles.a.kubeflow]\nhost = "other"\n')
    assert read_context(project, NEVER).digest() != before


def test_penstock_s_own_image_is_made_from_its_code_alone():
    found = names(ROOT, ())
    tops = {name.partition("/")[0] for name in found}
    assert tops == {
        "LICENSE",
        "README.md",
        "build",
        "components",
        "penstock",
        "penstock.toml",
        "pipelines",
        "pyproject.toml",
        "schemas",
        "setup.cfg",
        "setup.py",
        "uv.lock",
    }
    assert [name for name in found if name.startswith("build/")] == ["build/slim.sh"]
    assert not [name for name in found if "/." in name or "__pycache__" in name]


@pytest.mark.parametrize(
    ("reference", "repository", "registry"),
    [
        ("taxi", "taxi", "docker.io"),
        ("team/taxi:1", "team/taxi", "docker.io"),
        ("localhost:5000/taxi", "localhost:5000/taxi", "localhost:5000"),
        ("r.example:5000/team/taxi:1@sha256:0", "r.example:5000/team/taxi", "r.example:5000"),
    ],
)
def test_references_are_taken_apart(reference, repository, registry):
    assert repository_of(reference) == repository
    assert registry_of(reference) == registry


def test_the_digest_counts_that_the_asked_repository_gave():
    image = {"RepoDigests": ["other/taxi@sha256:1", "team/taxi@sha256:2"]}
    assert pushed_as(image, "team/taxi") == "team/taxi@sha256:2"
    assert pushed_as(image, "third/taxi") is None


def test_a_folder_s_name_becomes_an_image_s():
    assert repository_name("My Taxi_2") == "my-taxi-2"


def test_without_an_engine_it_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ImageError, match=r"no command docker or podman on the PATH.*docker\.io"):
        find_engine()


def test_an_unknown_engine_is_answered_with_the_nearest():
    with pytest.raises(ImageError, match="'dockr' is not known. Did you mean 'docker'"):
        find_engine("dockr")


def test_a_penstock_without_sources_builds_on_a_named_image_only(monkeypatch, project):
    monkeypatch.setattr("penstock.runners.kubeflow.image.building.sources_folder", lambda: None)
    request = ImageRequest(project, "taxi")
    with pytest.raises(ImageError, match="without its sources.*penstock build --from IMAGE"):
        build_image(Engine("docker"), request, tell=print)


class BuildsNothing(Engine):
    """Remembers what it is to build."""

    def __init__(self):
        super().__init__("docker")
        object.__setattr__(self, "builds", [])

    def find(self, reference):
        return {"Id": reference, "Size": 1} if reference in dict(self.builds) else None

    def build(self, folder, dockerfile, tag, arguments):
        self.builds.append((tag, dict(arguments)))


@pytest.mark.parametrize(
    ("flags", "extras", "key"),
    [
        ([], "tfx s3 gcs", "image"),
        (["--extra", "sklearn"], "tfx sklearn", "image"),
        (["--core"], "s3 gcs", "core_image"),
        (["--core", "--extra", "xgboost"], "xgboost", "core_image"),
    ],
)
def test_an_image_has_tensorflow_unless_it_is_the_core_s(monkeypatch, project, flags, extras, key):
    from click.testing import CliRunner

    from penstock.surfaces.cli.main import penstock

    engine = BuildsNothing()
    monkeypatch.setattr("penstock.runners.kubeflow.image.engine.find_engine", lambda _: engine)
    monkeypatch.chdir(project)
    (project / "penstock.toml").write_text("")
    done = CliRunner().invoke(penstock, ["build", "--image", "taxi", *flags])
    assert done.exception is None, done.output
    assert engine.builds[0][1]["EXTRAS"] == extras
    assert f'[profiles.default.kubeflow]: {key} = "taxi:' in done.output


def test_the_command_without_an_engine_exits_with_2(tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "penstock", "build"],
        env={**os.environ, "PATH": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: there is no command docker or podman on the PATH")
