"""Penguins as Kubeflow runs it: compiled, in containers of our image, beside a run in one process.

The containers are started by kfp's own DockerRunner. They are on the newest stack, whatever this
process is on; so is the local run, which is made in a container of the same image.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from penstock.metadata.reading import DIGEST_PROPERTY
from penstock.metadata.runs import CODE_PROPERTY, list_runs
from penstock.metadata.store import connect, connection_config
from penstock_support import docker_engine
from penstock_support.kubeflow_backend import BUCKET, s3_service
from penstock_support.store_shapes import shape_of_run

PUSHED = f"s3://{BUCKET}/served"
RUN_LOCALLY = """
import json, sys
from kfp import components, local

specification, root, parameters = sys.argv[1:]
local.init(local.DockerRunner(), pipeline_root=root)
components.load_component_from_file(specification)(**json.loads(parameters))
"""
# Models are trained anew, on another day: what they weigh and what follows from it differs.
LEARNED = ("digest", "fingerprint", "bytes")
# A place in the one store or the other, and when a model was pushed.
OF_ONE_RUN = ("current_model_id", "pushed_destination", "pushed_version")


@dataclass(frozen=True)
class Project:
    """A project with penguins, its image, and the store that its profiles name."""

    folder: Path
    image: str
    store: str
    report: dict[str, Any]


def penstock(*arguments: str, folder: Path) -> str:
    command = [str(Path(sys.executable).with_name("penstock")), *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]
    return done.stdout


@contextmanager
def metadata_server(address: str, store: Path) -> Iterator[int]:
    """Serve a store with `penstock metadata serve`; yield its port."""
    command = [str(Path(sys.executable).with_name("penstock")), "metadata", "serve"]
    command += ["--store", str(store), "--host", address, "--port", "0", "--without-tls"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert "serving" in line, line
            yield int(line.rpartition(":")[2])
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def shared(tmp_path_factory) -> Path:
    """A folder that the image's user may write."""
    folder = tmp_path_factory.mktemp("shared")
    # Also the folders above it, which belong to this user alone.
    for above in (folder, *folder.parents[:3]):
        if above.stat().st_uid == os.geteuid() and above != Path("/tmp"):
            above.chmod(0o777)
    return folder


@pytest.fixture(scope="module")
def project(docker_host, base_image, shared, tmp_path_factory) -> Iterator[Project]:
    folder = tmp_path_factory.mktemp("project")
    host = docker_engine.gateway(base_image)
    with (
        s3_service(host) as environment,
        metadata_server(host, shared / "kubeflow.sqlite") as port,
        pytest.MonkeyPatch.context() as patch,
    ):
        for name, value in environment.items():
            patch.setenv(name, value)
        # kfp's runner hands containers no environment.
        settings = "".join(f"ENV {name}={value}\n" for name, value in environment.items())
        (folder / "Dockerfile").write_text(
            "ARG PENSTOCK_IMAGE\nFROM ${PENSTOCK_IMAGE}\nCOPY . ./\n" + settings
        )
        configuration = f"""
[pipelines]
penguins = "penstock.pipelines.penguins.pipeline:penguins"

[profiles.local]
pipeline_root = "{shared}/local"
metadata = "{shared}/local.sqlite"

[profiles.kubeflow]
metadata = "grpc://{host}:{port}"

[profiles.kubeflow.kubeflow]
image = "IMAGE"
"""
        (folder / "penstock.toml").write_text(configuration)
        options = ["--profile", "kubeflow", "--base-image", base_image, "--image", "penguins-proof"]
        options += ["--extra", "s3", "--extra", "examples", "--json"]
        report = json.loads(penstock("build", *options, folder=folder))
        (folder / "penstock.toml").write_text(configuration.replace("IMAGE", report["image"]))
        again = json.loads(penstock("build", *options, folder=folder))
        assert again == {**report, "new": False}
        yield Project(folder, report["image"], f"grpc://{host}:{port}", report)


@pytest.fixture(scope="module")
def in_containers(project, shared) -> Any:
    """The run in containers: what kfp's runner printed."""
    specification = shared / "penguins.yaml"
    penstock(
        "compile", "penguins", "--profile", "kubeflow", "-o", str(specification),
        folder=project.folder,
    )  # fmt: skip
    root = shared / "kubeflow"
    root.mkdir()
    root.chmod(0o777)
    command = [sys.executable, "-W", "ignore", "-c", RUN_LOCALLY, str(specification), str(root)]
    command += [json.dumps({"push_directory": PUSHED, "train_steps": 100})]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-8000:]
    return done.stdout


@pytest.fixture(scope="module")
def in_one_container(project, shared) -> Any:
    """The same run under our local runner, in the same image."""
    command = ["docker", "run", "--rm", "--volume", f"{shared}:{shared}", project.image]
    command += ["penstock", "run", "penguins", "--profile", "local"]
    command += ["-p", f"push_directory={PUSHED}", "-p", "train_steps=100"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-8000:]
    return done.stdout


def shape(address: str) -> dict[str, Any]:
    with connect(connection_config(address), create=False) as metadata:
        [run] = list_runs(metadata.store)
        return shape_of_run(metadata.store, run.run_id)


def comparable(found: Any) -> Any:
    if isinstance(found, dict):
        return {
            name: "" if any(word in name for word in (*LEARNED, *OF_ONE_RUN)) else comparable(value)
            for name, value in found.items()
        }
    if isinstance(found, list):
        return [comparable(part) for part in found]
    return found


def test_the_image_runs_as_nobody_of_note_and_has_no_compiler(project):
    command = ["docker", "run", "--rm", project.image, "sh", "-c"]
    asked = "id -u; python --version; for name in gcc g++ cc make ld; do command -v $name; done; :"
    done = subprocess.run([*command, asked], capture_output=True, text=True, check=True)
    user, version, *compilers = done.stdout.split("\n")
    assert (user, version.startswith(("Python 3.12", "Python 3.13"))) == ("1000", True)
    assert not any(compilers)
    print(f"the image has {project.report['bytes'] / 1e6:,.0f} MB")


def test_a_run_in_containers_leaves_what_a_local_run_leaves(
    project, shared, in_containers, in_one_container
):
    kubeflow = comparable(shape(project.store))
    local = comparable(shape(str(shared / "local.sqlite")))
    assert sorted(kubeflow) == sorted(local)
    for node in local:
        assert kubeflow[node] == local[node], node


def test_both_ran_the_same_code(project, shared, in_containers, in_one_container):
    kubeflow, local = shape(project.store), shape(str(shared / "local.sqlite"))
    digests = {
        node: [made["properties"].get(CODE_PROPERTY) for made in executions]
        for node, executions in local.items()
    }
    assert digests["Trainer"][0]
    assert digests == {
        node: [made["properties"].get(CODE_PROPERTY) for made in executions]
        for node, executions in kubeflow.items()
    }


# Where nothing is learned from chance: the model, and what is said of it, differ by run.
@pytest.mark.parametrize("node", ["CsvExampleGen", "ImportSchemaGen", "Transform"])
def test_what_both_made_has_the_same_contents(
    project, shared, in_containers, in_one_container, node
):
    def digests(address: str) -> list[dict[str, list[str]]]:
        return [
            {
                key: [artifact["properties"][DIGEST_PROPERTY] for artifact in artifacts]
                for key, artifacts in made["outputs"].items()
                if {artifact["type"] for artifact in artifacts} <= {"Examples", "Schema"}
            }
            for made in shape(address)[node]
        ]

    assert any(digests(project.store))
    assert digests(project.store) == digests(str(shared / "local.sqlite"))
