"""The manifests of the metadata server are what Kubernetes takes, built by its own tool."""

from __future__ import annotations

import subprocess
from pathlib import Path
from shutil import which

import kubernetes_validate
import pytest
import yaml

from penstock.surfaces.cli.metadata import metadata as command

FOLDER = Path(__file__).parents[3] / "build" / "kubernetes"
OVERLAYS = sorted(path.name for path in (FOLDER / "overlays").iterdir())
VERSIONS = ["1.25", "1.29", "1.33", str(kubernetes_validate.latest_version())]


def resources(path: Path) -> list[dict]:
    return [found for found in yaml.safe_load_all(path.read_text()) if found]


@pytest.fixture(scope="module", params=["base", *(f"overlays/{name}" for name in OVERLAYS)])
def built(request) -> list[dict]:
    """Return what a folder is built to."""
    tool = which("kubectl")
    if tool is None:
        pytest.skip("kubectl is not installed, which builds the manifests with kustomize")
    done = subprocess.run(
        [tool, "kustomize", str(FOLDER / request.param)],
        capture_output=True,
        text=True,
        check=False,
    )
    if "unknown field" in done.stderr:
        pytest.skip("kubectl is older than 1.21, and its kustomize knows no patches by path")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return list(yaml.safe_load_all(done.stdout))


@pytest.mark.parametrize("version", VERSIONS)
def test_each_manifest_of_the_base_is_of_its_schema(version):
    files = [path for path in (FOLDER / "base").iterdir() if path.name != "kustomization.yaml"]
    assert len(files) == 5
    for path in files:
        for resource in resources(path):
            kubernetes_validate.validate(resource, version, strict=True)


@pytest.mark.parametrize("version", VERSIONS)
def test_what_is_built_is_of_its_schema(built, version):
    assert {resource["kind"] for resource in built} >= {"Deployment", "Service", "ConfigMap"}
    for resource in built:
        kubernetes_validate.validate(resource, version, strict=True)


@pytest.mark.parametrize(
    "folder", [FOLDER / "base", *(FOLDER / "overlays" / name for name in OVERLAYS)], ids=str
)
def test_what_a_kustomization_names_is_there(folder):
    [kustomization] = resources(folder / "kustomization.yaml")
    named = kustomization["resources"] + [p["path"] for p in kustomization.get("patches", [])]
    assert [name for name in named if not (folder / name).exists()] == []
    of_this_folder = {path.name for path in folder.iterdir()} - {"kustomization.yaml"}
    assert of_this_folder <= set(named)


def deployment(built: list[dict]) -> dict:
    [found] = [resource for resource in built if resource["kind"] == "Deployment"]
    return found["spec"]


def test_the_pod_s_command_line_is_one_that_the_command_takes(built):
    [container] = deployment(built)["template"]["spec"]["containers"]
    assert container["command"] == ["penstock", "metadata", "serve"]
    serve = command.commands["serve"]
    given = serve.make_context("serve", list(container["args"])).params
    [settings] = [resource for resource in built if resource["kind"] == "ConfigMap"]
    assert given["address"] == "$(STORE)"
    assert list(settings["data"]) == ["STORE"]
    assert given["token"] == "${env:TOKEN}"
    assert given["port"] == container["ports"][0]["containerPort"]
    mounts = [mount["mountPath"] for mount in container["volumeMounts"]]
    assert str(given["tls_certificate"].parent) in mounts
    assert given["grace"] < deployment(built)["template"]["spec"]["terminationGracePeriodSeconds"]


def test_no_secret_is_written_down(built):
    assert [resource for resource in built if resource["kind"] == "Secret"] == []
    [settings] = [resource for resource in built if resource["kind"] == "ConfigMap"]
    address = settings["data"]["STORE"]
    assert "@" not in address or ":${env:STORE_PASSWORD}@" in address


def test_the_container_may_do_no_more_than_it_must(built):
    pod = deployment(built)["template"]["spec"]
    [container] = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_one_pod_at_a_time_uses_an_sqlite_file(built):
    uses_a_file = any(resource["kind"] == "PersistentVolumeClaim" for resource in built)
    spec = deployment(built)
    strategy = spec["strategy"]["type"]
    assert (spec["replicas"], strategy) == (
        (1, "Recreate") if uses_a_file else (2, "RollingUpdate")
    )
    [settings] = [resource for resource in built if resource["kind"] == "ConfigMap"]
    assert settings["data"]["STORE"].startswith("sqlite:") is uses_a_file
