"""`penstock build` with a real engine and a real registry."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from penstock.runners.kubeflow.image.build_context import read_context
from penstock.runners.kubeflow.image.engine import Engine, find_engine
from penstock_support.servers import program


@contextmanager
def registry(folder: Path, more: str = "") -> Iterator[str]:
    """Run a registry; yield its host and port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    settings = folder / "registry.yml"
    settings.write_text(
        f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {folder}/images}}}}\n"
        f"http: {{addr: '{address}'}}\n{more}"
    )
    command = [program("docker-registry"), "serve", str(settings)]
    ready = threading.Event()
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:

        def read() -> None:
            assert process.stderr is not None
            for line in process.stderr:
                if "listening on" in line:
                    ready.set()

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        try:
            assert ready.wait(60)
            yield address
        finally:
            process.terminate()
            process.wait(timeout=60)
            reader.join()


@pytest.fixture
def project(tmp_path, base_image):
    """A project whose image is quickly made: upon a bare Debian."""
    (tmp_path / "penstock.toml").write_text("")
    (tmp_path / "Dockerfile").write_text(
        "ARG PENSTOCK_IMAGE\nFROM ${PENSTOCK_IMAGE}\nCOPY . /project\n"
    )
    (tmp_path / "code.py").write_text("")
    return tmp_path


def build(project: Path, base_image: str, *options: str, **environment: str):
    command = [sys.executable, "-W", "ignore", "-m", "penstock", "build", "--from", base_image]
    return subprocess.run(
        [*command, *options],
        cwd=project,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_an_image_is_built_once_and_pushed_once(project, base_image, tmp_path_factory):
    with registry(tmp_path_factory.mktemp("registry")) as address:
        options = ("--image", f"{address}/team/small", "--push", "--json")
        first = json.loads(build(project, base_image, *options).stdout)
        again = json.loads(build(project, base_image, *options).stdout)
        (project / "code.py").write_text("changed = True")
        changed = json.loads(build(project, base_image, *options).stdout)
        assert first["image"].startswith(f"{address}/team/small@sha256:")
        assert (first["new"], again["new"], changed["new"]) == (True, False, True)
        assert again["image"] == first["image"] != changed["image"]
        # By its digest the registry gives it to others.
        subprocess.run(["docker", "pull", first["image"]], check=True, capture_output=True)


def test_what_to_write_down_is_told(project, base_image):
    done = build(project, base_image, "--image", "small-told", "--tag", "v1")
    assert done.stdout == "small-told:v1\n"
    assert 'in penstock.toml, [profiles.default.kubeflow]: image = "small-told:v1"' in done.stderr
    assert "--push takes it to its registry" in done.stderr


def test_a_registry_that_is_not_there_is_told_from_one_that_refuses(
    project, base_image, tmp_path_factory
):
    done = build(project, base_image, "--image", "127.0.0.1:1/small", "--push")
    assert done.returncode == 2
    assert "error: the registry 127.0.0.1:1 cannot be reached" in done.stderr
    folder = tmp_path_factory.mktemp("registry")
    (folder / "users").touch()
    auth = f"auth: {{htpasswd: {{realm: pipelines, path: {folder}/users}}}}\n"
    with registry(folder, auth) as address:
        done = build(project, base_image, "--image", f"{address}/small", "--push")
    assert done.returncode == 2
    assert f"error: the registry {address} does not let you push {address}/small:" in done.stderr
    assert f"Log in: docker login {address}." in done.stderr


def test_an_engine_that_does_not_answer_is_told(project, base_image, tmp_path):
    done = build(project, base_image, DOCKER_HOST=f"unix://{tmp_path}/nobody", PATH="/usr/bin")
    assert done.returncode == 2
    assert "error: docker is installed, but its engine does not answer:" in done.stderr
    assert "say where it is with DOCKER_HOST" in done.stderr


def test_a_step_that_fails_is_shown(project, base_image):
    (project / "Dockerfile").write_text("ARG PENSTOCK_IMAGE\nFROM ${PENSTOCK_IMAGE}\nRUN false\n")
    done = build(project, base_image)
    assert done.returncode == 2
    assert "error: docker could not build" in done.stderr


def test_files_are_left_out_as_the_engine_itself_leaves_them_out(tmp_path, base_image):
    """The engine is given the whole folder with its `.dockerignore`, and asked what came."""
    for name in ("a.py", "data/a.csv", "data/b.csv", "data/deep/c.csv", "x/data/d.csv", "x/e.pyc"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    (tmp_path / ".dockerignore").write_text(
        "# comment\n\ndata/*\n!data/b.csv\n!/data/deep\n**/*.pyc\nx/dat?\n"
        ".dockerignore\nDockerfile\n"
    )
    (tmp_path / "Dockerfile").write_text(f"FROM {base_image}\nCOPY . /project\n")
    Engine("docker").build(tmp_path, tmp_path / "Dockerfile", "penstock-test-ignore:1", {})
    listing = ["docker", "run", "--rm", "penstock-test-ignore:1", "find", "/project", "-type", "f"]
    found = subprocess.run(listing, check=True, capture_output=True, text=True).stdout.split()
    assert sorted(found) == [f"/project/{name}" for name in sorted(read_context(tmp_path).files)]


def test_an_engine_is_found():
    assert find_engine() == find_engine("docker") == Engine("docker")
