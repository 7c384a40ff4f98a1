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

from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

from penstock import _tfx, ir
from penstock.data import remote
from penstock.metadata.reading import RUN_CONTEXT
from penstock.runners.kubeflow.task import (
    COMMAND,
    RUN_ID_VARIABLE,
    SHOWN_TYPES,
    PodInput,
    PodOutput,
    PodTask,
)

BUCKET = "pipelines"
_WAIT_SECONDS = 120


@contextmanager
def s3_service() -> Iterator[dict[str, str]]:
    """Run an S3 service with an empty bucket; yield the environment that leads to it."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
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
    """A backend whose pods are processes here.

    `folder` stands for the pods' disks. `environment` is that of every pod.
    """

    folder: Path
    environment: Mapping[str, str]
    root: str = f"minio://{BUCKET}/v2/artifacts"
    pods: int = 0

    def run_pod(
        self,
        task: PodTask,
        run_id: str,
        *,
        parameters: Mapping[str, Any] | None = None,
        inputs: Mapping[str, dict[str, Any]] | None = None,
        salt: str = "",
        environment: Mapping[str, str] | None = None,
    ) -> Ended:
        """Run one task to its end; `inputs` are artifacts as `Ended.outputs` has them."""
        pod = self.start_pod(
            task,
            run_id,
            parameters=parameters,
            inputs=inputs,
            salt=salt,
            environment=environment,
        )
        return pod.end()

    def start_pod(
        self,
        task: PodTask,
        run_id: str,
        *,
        parameters: Mapping[str, Any] | None = None,
        inputs: Mapping[str, dict[str, Any]] | None = None,
        salt: str = "",
        environment: Mapping[str, str] | None = None,
    ) -> Pod:
        """Download a task's inputs and start its command."""
        given, run_root = self.prepare(task, run_id, parameters or {}, inputs or {}, salt)
        command = [*COMMAND, "--task", task.to_text(), "--executor-input", "{{$}}"]
        process = subprocess.Popen(
            [sys.executable, *(part.replace("{{$}}", json.dumps(given)) for part in command[1:])],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={
                **os.environ,
                "TMPDIR": str(_made(self.folder / f"pod-{self.pods}" / "tmp")),
                RUN_ID_VARIABLE: run_id,
                **self.environment,
                **(environment or {}),
            },
        )
        return Pod(process, given, run_root)

    def prepare(
        self,
        task: PodTask,
        run_id: str,
        parameters: Mapping[str, Any],
        inputs: Mapping[str, dict[str, Any]],
        salt: str = "",
    ) -> tuple[dict[str, Any], str]:
        """Download a task's inputs; return its ExecutorInput and the run's folder."""
        self.pods += 1
        disk = self.folder / f"pod-{self.pods}"
        run_root = f"{self.root}/{task.ir().pipeline_info.id.lower()}/{run_id}"
        task_root = f"{run_root}/{task.node.lower()}/{salt or self.pods}"
        given = _executor_input(task, parameters, inputs, task_root, disk)
        for artifact in _artifacts(given["inputs"]):
            _download(artifact["uri"], artifact["customPath"])
        for artifact in _artifacts(given["outputs"]):
            Path(artifact["customPath"]).parent.mkdir(parents=True, exist_ok=True)
        for described in given["outputs"]["parameters"].values():
            Path(described["outputFile"]).parent.mkdir(parents=True, exist_ok=True)
        return given, run_root


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
            outputs[name] = {"uri": uri, "metadata": through_the_backend(metadata)}
        values = {
            name: Path(described["outputFile"]).read_text()
            for name, described in self.given["outputs"]["parameters"].items()
        }
        return Ended(code, printed, outputs, values)


def _executor_input(
    task: PodTask,
    parameters: Mapping[str, Any],
    inputs: Mapping[str, dict[str, Any]],
    task_root: str,
    disk: Path,
) -> dict[str, Any]:
    def place(uri: str) -> str:
        return str(disk / uri.replace("://", "/"))

    outputs = {output.name: f"tfx.{output.type}" for output in task.outputs}
    outputs |= {name: SHOWN_TYPES[name] for name in task.shown}
    holds = {} if task.action == "run" else {"holds": {"outputFile": place(f"{task_root}/holds")}}
    return {
        "inputs": {
            # All numbers are floating-point numbers in a protobuf Value.
            "parameterValues": {
                name: float(value)
                if isinstance(value, int) and not isinstance(value, bool)
                else value
                for name, value in parameters.items()
            },
            "artifacts": {
                name: {
                    "artifacts": [
                        {"name": "7", "type": {}, "customPath": place(artifact["uri"]), **artifact}
                    ]
                }
                for name, artifact in inputs.items()
            },
        },
        "outputs": {
            "artifacts": {
                name: {
                    "artifacts": [
                        {
                            "name": name,
                            "type": {"schemaTitle": title},
                            "uri": f"{task_root}/{name}",
                            "customPath": place(f"{task_root}/{name}"),
                        }
                    ]
                }
                for name, title in outputs.items()
            },
            "parameters": holds,
            "outputFile": place(f"{task_root}/executor_output.json"),
        },
    }


def _artifacts(part: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [a for listed in part["artifacts"].values() for a in listed["artifacts"]]


def _read_output(path: Path) -> dict[str, dict[str, Any]]:
    """Read `executor_output.json` strictly: an unknown field is an error."""
    message = json_format.Parse(path.read_text(), pipeline_spec_pb2.ExecutorOutput())
    content = json_format.MessageToDict(message)
    return {name: listed["artifacts"][0] for name, listed in content.get("artifacts", {}).items()}


def _download(uri: str, path: str) -> None:
    """Copy all objects at or below a URI; none is no error."""
    files = remote.list_files(uri)
    places = [os.path.join(path, f.name) if f.name else path for f in files]
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


def tasks_of(compiled: Any, store: str, project_folder: str = "") -> dict[str, PodTask]:
    """Return a task for each node of a pipeline's IR, in their order."""
    known = {node.node_info.id: node for node in ir.nodes(compiled)}
    return {
        name: PodTask(
            name,
            json_format.MessageToDict(_alone(compiled, name), preserving_proto_field_name=True),
            store,
            project_folder or os.getcwd(),
            parameters={
                p.name: p.type.__name__ for p in ir.run_parameters(_alone(compiled, name)).values()
            },
            inputs=tuple(_inputs(node, known)),
            outputs=tuple(_outputs(node, known)),
        )
        for name, node in known.items()
    }


def _alone(compiled: Any, name: str) -> Any:
    alone = type(compiled)()
    alone.CopyFrom(compiled)
    alone.runtime_spec.pipeline_root.runtime_parameter.ClearField("default_value")
    for index in reversed(range(len(alone.nodes))):
        if alone.nodes[index].pipeline_node.node_info.id != name:
            del alone.nodes[index]
    return alone


def _outputs(node: Any, known: Mapping[str, Any]) -> Iterator[PodOutput]:
    for key, spec in sorted(node.outputs.outputs.items()):
        yield PodOutput(key, key, spec.artifact_spec.type.name)
    if not node.outputs.outputs:
        # What a resolver puts out stands only where others take it.
        taken = {
            (wanted.output, wanted.type)
            for other in known.values()
            for wanted in _inputs(other, known)
            if wanted.producer == node.node_info.id
        }
        for key, kind in sorted(taken):
            yield PodOutput(key, key, kind)


def _inputs(node: Any, known: Mapping[str, Any]) -> Iterator[PodInput]:
    system = "tfx.dsl.components.common"
    for key, spec in sorted(node.inputs.inputs.items()):
        for number, channel in enumerate(spec.channels):
            of_this_run = any(q.type.name == RUN_CONTEXT for q in channel.context_queries)
            producer = channel.producer_node_query.id
            if producer in known and of_this_run:
                yield PodInput(
                    f"{key}_{number}",
                    key,
                    channel.artifact_query.type.name,
                    producer,
                    channel.output_key,
                    by_run=known[producer].node_info.type.name.startswith(system),
                )


def run_all(
    backend: Backend,
    tasks: Mapping[str, PodTask],
    run_id: str,
    parameters: Mapping[str, Any] | None = None,
) -> dict[str, Ended]:
    """Run tasks one after the other; what they need of each other is passed on."""
    ended: dict[str, Ended] = {}
    for name, task in tasks.items():
        inputs = {
            wanted.name: ended[wanted.producer].outputs[
                next(o.name for o in tasks[wanted.producer].outputs if o.key == wanted.output)
            ]
            for wanted in task.inputs
        }
        own = {key: value for key, value in (parameters or {}).items() if key in task.parameters}
        ended[name] = backend.run_pod(task, run_id, parameters=own, inputs=inputs)
        assert ended[name].code == 0, ended[name].printed
    return ended


def with_shown(task: PodTask) -> PodTask:
    """Return a task that also makes what the UI shows."""
    return replace(task, shown=tuple(SHOWN_TYPES))
