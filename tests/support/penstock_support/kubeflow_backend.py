"""Kubeflow's backend as a pod sees it: the launcher, with a real S3 service, and lossy metadata.

What the launcher and its store do to artifacts is done here as they do it: inputs are downloaded
whole, only the parents of outputs exist, empty folders vanish on upload, `executor_output.json` is
read strictly, an output's URI cannot leave the run's folder, and metadata comes back as ML
Metadata's values do.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

from penstock import _tfx
from penstock.data.files import remote
from penstock.project.environment import IMAGE_VARIABLE
from penstock.runners.kubeflow.compile.compiling import compile_for_kubeflow
from penstock.runners.kubeflow.contract.task import RUN_ID_VARIABLE, PodTask
from penstock.runners.kubeflow.contract.texts import OWN, Texts
from penstock_support import IMPORT_PATH
from penstock_support.kubeflow_pipelines import cluster

BUCKET = "pipelines"
_WAIT_SECONDS = 120


@contextmanager
def s3_service(address: str = "127.0.0.1") -> Iterator[dict[str, str]]:
    """Run an S3 service with an empty bucket at an address; yield the environment for it."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address=address, port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    environment = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "pipelines",
        "AWS_SECRET_ACCESS_KEY": "pipelines-secret",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    client = boto3.client(
        "s3",
        endpoint_url=environment["AWS_ENDPOINT_URL"],
        aws_access_key_id="pipelines",
        aws_secret_access_key="pipelines-secret",
        region_name="us-east-1",
    )
    client.create_bucket(Bucket=BUCKET)
    try:
        yield environment
    finally:
        server.stop()
        # Its connections would be taken for those of the next service.
        if "s3fs" in sys.modules:
            sys.modules["s3fs"].S3FileSystem.clear_instance_cache()


def through_the_backend(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return metadata as a later task gets it: by way of ML Metadata's values."""
    return {name: _from_stored(_stored(value)) for name, value in metadata.items()}


def _stored(value: Any) -> Any:
    stored = _tfx.metadata_store_pb2.Value()
    if isinstance(value, bool):
        stored.int_value = int(value)
    elif isinstance(value, (int, float)):
        stored.double_value = float(value)
    elif isinstance(value, str):
        stored.string_value = value
    elif isinstance(value, (list, dict)):
        stored.struct_value.update({"list" if isinstance(value, list) else "struct": value})
    else:
        raise ValueError(f"unknown/unsupported value type {type(value)}")
    return stored


def _from_stored(stored: Any) -> Any:
    kind = stored.WhichOneof("value")
    value = getattr(stored, kind)
    if kind == "struct_value":
        return json_format.MessageToDict(value)
    return value if kind == "string_value" else float(value)


@dataclass(frozen=True)
class Ended:
    """A pod that has ended: its exit code, what it printed, and its outputs if it succeeded."""

    code: int
    printed: str
    outputs: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    values: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Backend:
    """A backend whose pods are processes here, and which does one task after the other.

    `folder` stands for the pods' disks. `environment` is that of every pod.
    """

    folder: Path
    environment: Mapping[str, str]
    root: str = f"minio://{BUCKET}/v2/artifacts"
    pods: int = 0

    def run(self, compiled: Compiled, run_id: str, **parameters: Any) -> dict[str, Ended]:
        """Run a pipeline to its end; return what came of the tasks whose conditions held."""
        ended: dict[str, Ended] = {}
        for name, task in compiled.tasks.items():
            if not set(task.get("dependentTasks", ())) <= set(ended):
                continue
            if holds(task, ended):
                ended[name] = self.run_pod(compiled, name, run_id, ended, **parameters)
                assert ended[name].code == 0, ended[name].printed
        return ended

    def run_pod(
        self,
        compiled: Compiled,
        name: str,
        run_id: str,
        ended: Mapping[str, Ended] | None = None,
        **parameters: Any,
    ) -> Ended:
        """Run one task to its end; `ended` are those that it depends on."""
        return self.start_pod(compiled, name, run_id, ended, **parameters).end()

    def start_pod(
        self,
        compiled: Compiled,
        name: str,
        run_id: str,
        ended: Mapping[str, Ended] | None = None,
        **parameters: Any,
    ) -> Pod:
        """Download a task's inputs and start its command."""
        given, run_root = self.prepare(compiled, name, run_id, ended or {}, parameters)
        command = [_substituted(part, given) for part in compiled.command(name)]
        process = subprocess.Popen(
            [sys.executable if command[0] == "python" else command[0], *command[1:]],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={
                **os.environ,
                **compiled.environment(name),
                "TMPDIR": str(_made(self.folder / f"pod-{self.pods}" / "tmp")),
                "STORE_SCHEME": "sqlite",
                RUN_ID_VARIABLE: run_id,
                **self.environment,
            },
        )
        return Pod(process, given, run_root)

    def prepare(
        self,
        compiled: Compiled,
        name: str,
        run_id: str,
        ended: Mapping[str, Ended],
        parameters: Mapping[str, Any],
    ) -> tuple[dict[str, Any], str]:
        """Download a task's inputs; return its ExecutorInput and the run's folder."""
        self.pods += 1
        disk = self.folder / f"pod-{self.pods}"
        run_root = f"{self.root}/{compiled.spec['pipelineInfo']['name']}/{run_id}"
        given = _executor_input(
            compiled, name, ended, parameters, f"{run_root}/{name}/{self.pods}", disk
        )
        for artifact in _artifacts(given["inputs"]):
            _download(artifact["uri"], artifact["customPath"])
        for artifact in _artifacts(given["outputs"]):
            Path(artifact["customPath"]).parent.mkdir(parents=True, exist_ok=True)
        for described in given["outputs"]["parameters"].values():
            Path(described["outputFile"]).parent.mkdir(parents=True, exist_ok=True)
        return given, run_root


@contextmanager
def playing(folder: Path) -> Iterator[Backend]:
    """Have a backend whose pods find the components of tests/support, and S3 for all.

    `folder` stands for the pods' disks.
    """
    with s3_service() as environment, pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        yield Backend(folder, {**environment, "PYTHONPATH": IMPORT_PATH})


def holds(task: Mapping[str, Any], ended: Mapping[str, Ended]) -> bool:
    """Whether the condition of a task holds: one parameter must be true."""
    condition = task.get("triggerPolicy", {}).get("condition")
    if condition is None:
        return True
    [name] = [n for n in task["inputs"]["parameters"] if f"['{n}'] == true" in condition]
    given = task["inputs"]["parameters"][name]["taskOutputParameter"]
    return ended[given["producerTask"]].values[given["outputParameterKey"]] == "true"


@dataclass
class Pod:
    """A pod that is running."""

    process: subprocess.Popen[str]
    given: dict[str, Any]
    run_root: str
    printed: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        self.printed.extend(self.process.stdout)

    def terminate(self) -> None:
        """Ask the pod to end, as its deletion does."""
        self.process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Take the pod away at once."""
        self.process.kill()

    def end(self, *, upload: bool = True) -> Ended:
        """Wait for the command's end, upload the outputs and record them."""
        code = self.process.wait(_WAIT_SECONDS)
        self.reader.join(_WAIT_SECONDS)
        printed = "".join(self.printed)
        if code or not upload:
            return Ended(code, printed)
        told = _read_output(Path(self.given["outputs"]["outputFile"]))
        outputs = {}
        for name, launched in self.given["outputs"]["artifacts"].items():
            [artifact] = launched["artifacts"]
            merged = told.get(name, {})
            uri = merged.get("uri") or artifact["uri"]
            assert uri.startswith(f"{self.run_root}/"), f"{uri} is not below {self.run_root}"
            _upload(Path(artifact["customPath"]), uri)
            metadata = {**artifact.get("metadata", {}), **merged.get("metadata", {})}
            if artifact["type"].get("schemaTitle") == "system.Metrics":
                _check_metrics(metadata)
            outputs[name] = {"uri": uri, "metadata": through_the_backend(metadata)}
        values = {
            name: Path(described["outputFile"]).read_text()
            for name, described in self.given["outputs"]["parameters"].items()
        }
        return Ended(code, printed, outputs, values)


def _check_metrics(metadata: Mapping[str, Any]) -> None:
    """Refuse metrics that are no numbers, as launchers without ML Metadata do.

    (uploadOutputArtifacts in backend/src/v2/component/launcher_v2.go, branch mlmd-removal)
    """
    for name, value in metadata.items():
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        assert is_number, f'metric value "{name}" must be a number, got {value!r}'


def _executor_input(
    compiled: Compiled,
    name: str,
    ended: Mapping[str, Ended],
    parameters: Mapping[str, Any],
    task_root: str,
    disk: Path,
) -> dict[str, Any]:
    def launched(key: str, uri: str, **more: Any) -> dict[str, Any]:
        place = str(disk / uri.replace("://", "/"))
        return {"artifacts": [{"name": key, "uri": uri, "customPath": place, **more}]}

    def local(file: str) -> str:
        return str(disk / "kfp_outputs" / file)

    task, component = compiled.tasks[name], compiled.component(name)
    made = component.get("outputDefinitions", {})
    inputs = task.get("inputs", {})
    values = {
        key: _parameter(compiled, given, ended, parameters)
        for key, given in inputs.get("parameters", {}).items()
    }
    taken = {key: given["taskOutputArtifact"] for key, given in inputs.get("artifacts", {}).items()}
    return {
        "inputs": {
            "parameterValues": values,
            "artifacts": {
                # The type does not come, and the name is a number in the backend's database.
                key: launched(
                    "7",
                    type={},
                    **ended[given["producerTask"]].outputs[given["outputArtifactKey"]],
                )
                for key, given in taken.items()
            },
        },
        "outputs": {
            "artifacts": {
                key: launched(key, f"{task_root}/{key}", type=defined["artifactType"])
                for key, defined in made.get("artifacts", {}).items()
            },
            "parameters": {key: {"outputFile": local(key)} for key in made.get("parameters", {})},
            "outputFile": local("output_metadata.json"),
        },
    }


def _parameter(
    compiled: Compiled,
    given: Mapping[str, Any],
    ended: Mapping[str, Ended],
    parameters: Mapping[str, Any],
) -> Any:
    if "runtimeValue" in given:
        return given["runtimeValue"]["constant"]
    if "taskOutputParameter" in given:
        source = given["taskOutputParameter"]
        return ended[source["producerTask"]].values[source["outputParameterKey"]] == "true"
    name = given["componentInputParameter"]
    defined = compiled.spec["root"]["inputDefinitions"]["parameters"][name]
    value = parameters.get(name, defined.get("defaultValue"))
    # All numbers are floating-point numbers in a protobuf Value.
    return float(value) if type(value) is int else value


def _substituted(text: str, given: Mapping[str, Any]) -> str:
    """Return an argument as the launcher gives it to a container."""
    text = text.replace("{{$}}", json.dumps(given))
    for name, value in given["inputs"]["parameterValues"].items():
        told = value if isinstance(value, str) else json.dumps(value)
        text = text.replace(f"{{{{$.inputs.parameters['{name}']}}}}", told)
    for side in ("inputs", "outputs"):
        for name, listed in given[side]["artifacts"].items():
            path = listed["artifacts"][0]["customPath"]
            text = text.replace(f"{{{{$.{side}.artifacts['{name}'].path}}}}", path)
    return text


def _artifacts(part: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [a for listed in part["artifacts"].values() for a in listed["artifacts"]]


def _read_output(path: Path) -> dict[str, dict[str, Any]]:
    """Read `executor_output.json` strictly: an unknown field is an error, its absence none."""
    if not path.exists():
        return {}
    message = json_format.Parse(path.read_text(), pipeline_spec_pb2.ExecutorOutput())
    content = json_format.MessageToDict(message)
    return {name: listed["artifacts"][0] for name, listed in content.get("artifacts", {}).items()}


def _download(uri: str, path: str) -> None:
    """Copy all objects whose names begin as a URI does; none is no error.

    Those of a sibling whose name is longer come too, to where they are seen from the folder.
    (DownloadBlob in backend/src/v2/objectstore/object_store.go, 2.5.0 to 2.16.0)
    """
    parent, _, name = uri.rpartition("/")
    files = [f for f in remote.list_files(parent) if f.name.startswith(name)]
    places = [os.path.normpath(os.path.join(path, os.path.relpath(f.name, name))) for f in files]
    remote.fetch_files([f.url for f in files], places)


def _upload(path: Path, uri: str) -> None:
    assert path.exists(), f"the task has not made {path}"
    if path.is_file():
        remote.upload(str(path), uri)
        return
    for file in sorted(path.rglob("*")):
        if file.is_file():
            remote.upload(str(file), f"{uri}/{file.relative_to(path).as_posix()}")


def _made(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


@dataclass(frozen=True)
class Compiled:
    """A compiled pipeline: a container's command line, and how it is tied to others, by task."""

    spec: Mapping[str, Any]

    @property
    def tasks(self) -> dict[str, Any]:
        """The tasks of the pipeline, each after those that it depends on."""
        left = dict(self.spec["root"]["dag"]["tasks"])
        ordered: dict[str, Any] = {}
        while left:
            ready = [
                name
                for name, task in left.items()
                if set(task.get("dependentTasks", ())) <= set(ordered)
            ]
            assert ready, f"{sorted(left)} wait for each other"
            ordered.update({name: left.pop(name) for name in ready})
        return ordered

    def component(self, name: str) -> Any:
        """Return a task's component."""
        return self.spec["components"][self.tasks[name]["componentRef"]["name"]]

    def command(self, name: str) -> list[str]:
        """Return the command and the arguments of a task's container."""
        executors = self.spec["deploymentSpec"]["executors"]
        container = executors[self.component(name)["executorLabel"]]["container"]
        return [*container["command"], *container.get("args", ())]

    def environment(self, name: str) -> dict[str, str]:
        """Return the variables of a task's container, but for its image: there is none here."""
        executors = self.spec["deploymentSpec"]["executors"]
        container = executors[self.component(name)["executorLabel"]]["container"]
        variables = {entry["name"]: entry["value"] for entry in container.get("env", ())}
        return {name: value for name, value in variables.items() if name != IMAGE_VARIABLE}

    def pod_task(self, name: str) -> PodTask:
        """Return what a task's container is told."""
        return PodTask.from_texts(self.texts(name))

    def texts(self, name: str) -> Texts:
        """Return what a task's container and the task are told."""
        command = self.command(name)
        own = self.tasks[name].get("inputs", {}).get("parameters", {}).get(OWN)
        constant = own["runtimeValue"]["constant"] if own else ""
        return Texts(command[command.index("--task") + 1], constant)


def compile_with_store(
    pipeline: Any, store: Path, *, accelerate: bool = True, **options: Any
) -> Compiled:
    """Compile a pipeline of tests/support for pods on this machine, with a store in a file.

    `options` are those of a profile's table `kubeflow`.

    Only files on the compiling machine are refused, so the scheme is left to the pod.
    """
    profile = replace(
        cluster(project_folder=IMPORT_PATH, **options),
        metadata=f"${{env:STORE_SCHEME}}:///{store}",
        accelerate=accelerate,
    )
    compiled = compile_for_kubeflow(pipeline, profile, Path(IMPORT_PATH))
    return Compiled(next(iter(yaml.safe_load_all(compiled.to_yaml()))))
