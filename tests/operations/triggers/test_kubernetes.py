"""The manifests of triggers are what Kubernetes takes, and call commands that there are."""

from __future__ import annotations

import subprocess
from pathlib import Path
from shutil import which

import kubernetes_validate
import pytest
import yaml

from penstock.surfaces.cli.trigger import trigger as group

FOLDER = Path(__file__).parents[3] / "build" / "kubernetes" / "triggers"
FOLDERS = sorted(path.name for path in FOLDER.iterdir())
FILES = sorted(p for p in FOLDER.glob("*/*.yaml") if p.name != "kustomization.yaml")
VERSIONS = ["1.25", "1.29", "1.33", str(kubernetes_validate.latest_version())]


def resources(path: Path) -> list[dict]:
    return [found for found in yaml.safe_load_all(path.read_text()) if found]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_each_manifest_is_of_its_schema(path, version):
    for resource in resources(path):
        kubernetes_validate.validate(resource, version, strict=True)


@pytest.mark.parametrize("name", FOLDERS)
def test_what_a_kustomization_names_is_there(name):
    [kustomization] = resources(FOLDER / name / "kustomization.yaml")
    files = {path.name for path in (FOLDER / name).iterdir()}
    assert {*kustomization["resources"], "kustomization.yaml"} == files


@pytest.mark.parametrize("name", FOLDERS)
def test_it_is_built_with_the_project_s_image(name):
    tool = which("kubectl")
    if tool is None:
        pytest.skip("kubectl is not installed, which builds the manifests with kustomize")
    done = subprocess.run(
        [tool, "kustomize", str(FOLDER / name)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    [pod] = [pod_of(r) for r in yaml.safe_load_all(done.stdout) if pod_of(r)]
    assert pod["containers"][0]["image"] == "registry.example/team/project:replace-me"


def pod_of(resource: dict) -> dict | None:
    spec = resource.get("spec", {})
    spec = spec.get("jobTemplate", {}).get("spec", spec)
    return spec.get("template", {}).get("spec") if "template" in spec else None


PODS = [pod for path in FILES for resource in resources(path) if (pod := pod_of(resource))]


@pytest.mark.parametrize("pod", PODS, ids=lambda pod: pod["containers"][0]["name"])
def test_the_command_line_is_one_that_the_command_takes(pod):
    [container] = pod["containers"]
    program, name, command = container["command"]
    assert (program, name) == ("penstock", "trigger")
    given = group.commands[command].make_context(command, list(container.get("args", ()))).params
    if command == "watch":
        assert given["port"] == container["ports"][0]["containerPort"]
        assert given["token"] == "${env:EVENTS_TOKEN}"


@pytest.mark.parametrize("pod", PODS, ids=lambda pod: pod["containers"][0]["name"])
def test_the_container_may_do_no_more_than_it_must(pod):
    [container] = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
