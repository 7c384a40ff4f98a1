"""What a container of Kubeflow Pipelines is told about the node that it runs.

A task's container runs COMMAND with these arguments:

    --task TEXT --executor-input {{$}}

TEXT is what `PodTask.to_texts()` says is shared; `{{$}}` becomes the ExecutorInput when the
launcher starts the container, and has the node's own text as the parameter OWN. All of both goes
into Kubeflow's own cache key, so what differs from run to run must not stand in it.

The run's name. Runs in ML Metadata have the names of Kubeflow's runs. As a task's parameter the
name would be part of the cache key, so it comes by two other ways, of which the first counts:

- The environment variable RUN_ID_VARIABLE. The platform document fills it from the pod's label
  `pipeline/runid`, which the API server puts on every pod of a run, a recurring one's too.
- The URIs of outputs. They are `ROOT/PIPELINE/RUN/TASK/SALT/OUTPUT` since 2.15 and
  `ROOT/PIPELINE/RUN/TASK/OUTPUT` before, where PIPELINE is the name in the spec's `pipelineInfo`
  (`names.pipeline_name` of the pipeline's), and `outputs.outputFile` may lie below the same folder.
  Without a cluster (`kfp.local`), where there are no pods, they are `ROOT/RUN/TASK/OUTPUT`, and RUN
  begins with PIPELINE and a hyphen.

Places. A text of the pipeline that is, or contains, a path on the compiling machine has in its
stead `@{project}/taxi/model.py` for what lies in the folder of penstock.toml, or
`@{package:taxi.models}/model.py` for what lies in a package that the image has installed.
`locations.localize` puts the image's paths in.

Inputs. The artifacts of a PodInput are those in our store whose URI the ExecutorInput gives, so
that Kubeflow's cache may lend them from an earlier run. Where `by_run` is set the producer only
looked artifacts up (an importer or a resolver, which Kubeflow never caches) and there can be any
number of them, anywhere: they are what the producer's execution in this run put out.

Outputs. Beside the node's own there are those in `shown`, which the Kubeflow UI displays; each
must be made, even if there is nothing to show. A task of action DECIDE has no artifacts: it
evaluates the conditions of its node, whose IR has for that no other inputs than the conditions
ask for, and writes `true` or `false` into the output parameter HOLDS.

Loops. A node in a loop has the item that it runs for as the parameter `items.ITEM`, and that of a
loop within that one as `items.item_of(1)`. A task of action MAKE_ITEMS before the loop writes the
texts of all items into the output parameter `items.ITEMS`.

Shared pods. A container that runs several small nodes is told each after a `--task` of its own, in
the order in which they run. `parts` says what they are called in the ExecutorInput that they share.

Containers. A component that is a container of its own runs as it is, and knows nothing of ours. A
task of action RECORD after it writes down what it did: the node's outputs are among its inputs in
the ExecutorInput, under the names that `outputs` has, and it has none of its own. Nodes that use
them start after it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from penstock import _tfx
from penstock.errors import RunError
from penstock.ir.loops import LoopSpec
from penstock.project.tables import as_table, read_table
from penstock.runners.kubeflow.contract import texts
from penstock.runners.kubeflow.contract.texts import Texts

VERSION = 2
_COMPILED = "Compile the pipeline again: penstock compile."

COMMAND = ("python", "-m", "penstock.runners.kubeflow.entrypoint")
RUN_ID_VARIABLE = "KFP_RUN_ID"
RUN_ID_LABEL = "pipeline/runid"

RUN = "run"
DECIDE = "decide"
RECORD = "record"
MAKE_ITEMS = "items"
# What a PodInput takes of a loop's node.
OF_ITEM, OF_ALL = "item", "all"
HOLDS = "holds"

METRICS = "penstock_metrics"
CLASSIFICATION = "penstock_classification"
REPORT = "penstock_report"
SHOWN_TYPES: Mapping[str, str] = {
    METRICS: "system.Metrics",
    CLASSIFICATION: "system.ClassificationMetrics",
    REPORT: "system.HTML",
}


@dataclass(frozen=True)
class PodInput:
    """An input artifact of the task, by the name that it has in the ExecutorInput.

    Several of them can have one `key` of the node: artifacts of several producers. `type` is the
    name of the artifact type that the node expects; the ExecutorInput does not tell. Of a producer
    in a loop it takes what was made for the task's own item (`each` is OF_ITEM), or for all items,
    in their order (OF_ALL). Where loops stand in loops, `shared` says how many of them the producer
    and the task have in common, and so how many of the items.
    """

    name: str
    key: str
    type: str
    producer: str
    output: str
    by_run: bool = False
    each: str = ""
    shared: int = 0


@dataclass(frozen=True)
class PodOutput:
    """An output artifact of the task: its name in the ExecutorInput, and the node's key."""

    name: str
    key: str
    type: str


@dataclass(frozen=True)
class PodTask:
    """One node of a pipeline, for a container that runs it.

    `pipeline` is the IR as JSON with this node alone: parameters of the run are not bound yet.
    `parameters` are those of the run that the node depends on, with their types (str, int, float,
    bool or list); the ExecutorInput has their values under the same names. `code` is a digest of
    the node's code. `store` is the metadata store's address, its secrets still references. `loops`
    are those in which the node stands, the outermost first; of a task of action MAKE_ITEMS the last
    is the one whose items it makes, and `told` are texts that refer to these: what containers of
    their own are told of an item. With `accelerate` engines of ours do the work of TFX's
    executors, where they can. Where nodes share a pod, `part` is what this one is called
    there, and `after` are those of the others that it waits for. `import_paths` are folders to
    import from, relative to `project_folder`, which is also the folder from which relative paths in
    the pipeline count.
    """

    node: str
    pipeline: Mapping[str, Any]
    store: str
    project_folder: str
    action: str = RUN
    parameters: Mapping[str, str] = field(default_factory=dict)
    inputs: tuple[PodInput, ...] = ()
    outputs: tuple[PodOutput, ...] = ()
    shown: tuple[str, ...] = ()
    code: str = ""
    import_paths: tuple[str, ...] = ()
    loops: tuple[LoopSpec, ...] = ()
    told: tuple[str, ...] = ()
    accelerate: bool = True
    part: str = ""
    after: tuple[str, ...] = ()
    version: int = VERSION

    def to_texts(self) -> Texts:
        """Return the task as what its container and its task are told."""
        return texts.write({**as_table(self), "version": self.version})

    @classmethod
    def from_texts(cls, told: Texts) -> PodTask:
        """Read what `to_texts` wrote.

        Raises:
          RunError: it is no task, or another version of Penstock wrote it.
          ConfigError: a key is unknown or missing, or has a value that is none of its.
        """
        try:
            table = texts.read(told)
        except ValueError:
            raise RunError(
                f"expected a task as JSON, got {told.shared[:200]!r}", hint=_COMPILED
            ) from None
        if table.get("version") != VERSION:
            raise RunError(
                f"the task was compiled for version {table.get('version')} of tasks, and this "
                f"image has {VERSION}",
                hint="Compile the pipeline with the Penstock that the image has, or build the "
                "image anew: penstock build.",
            )
        return read_table(cls, table)

    def ir(self) -> Any:
        """Return the IR with the task's node alone.

        Raises:
          RunError: the task has none.
        """
        from google.protobuf import json_format

        try:
            return json_format.ParseDict(dict(self.pipeline), _tfx.pipeline_pb2.Pipeline())
        # What it says of a field of another kind depends on how deep it noticed.
        except (json_format.ParseError, AttributeError, TypeError, ValueError) as error:
            raise RunError(
                f"the task of node {self.node} has no pipeline that can be read: {error}",
                hint=_COMPILED,
            ) from error


def code_digest(digests: Mapping[str, str]) -> str:
    """Return what stands for a node's code in its task, of the digests by file."""
    return hashlib.sha256(json.dumps(digests, sort_keys=True).encode()).hexdigest()[:32]
