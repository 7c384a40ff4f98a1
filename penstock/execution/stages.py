"""What a node is at each stage of its life: resolved, registered with the store, finished."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from penstock import _tfx, ir
from penstock.execution import staging
from penstock.execution.cache import Fingerprint
from penstock.execution.schedule import State
from penstock.execution.steps import OnStep, ignore

LocalCopies = Callable[[_tfx.Artifacts, str], Mapping[str, str]]


@dataclass(frozen=True)
class Skipped:
    """A node that has nothing to do, and why."""

    reason: str


@dataclass(frozen=True)
class Finished:
    """A node whose outputs are in the store; `cached` if an earlier execution made them.

    `note` is what a reader of the run should know of it, "" for nothing.
    """

    execution_id: int
    outputs: _tfx.Artifacts
    cached: bool = False
    note: str = ""


@dataclass(frozen=True)
class Resolution:
    """What a node would do, as far as its driver has no say: read from the store, not recorded."""

    node: ir.Node
    inputs: _tfx.Artifacts
    parameters: Mapping[str, Any]
    fingerprint: Fingerprint


@dataclass(frozen=True)
class Placement:
    """Where a node works, if artifacts are recorded to be elsewhere than its work finds them.

    `local_copies` is given the input artifacts and a folder of the node's own for files, and
    returns for addresses of artifacts where they are to be read. `staged_outputs` has, by key,
    where outputs are written and where they will be.
    """

    local_copies: LocalCopies | None = None
    staged_outputs: Mapping[str, staging.StagedOutput] = field(default_factory=dict)


@dataclass(frozen=True)
class Prepared:
    """A node registered as running, with all that a worker needs.

    `info` is TFX's `ExecutionInfo`; `staged` are the outputs that are written elsewhere first;
    `note` is what a reader of the run should know of how it came to work.
    """

    node: ir.Node
    contexts: Sequence[_tfx.ContextProto]
    info: _tfx.ExecutionInfo
    fingerprint: Fingerprint
    on_step: OnStep = ignore
    staged: Sequence[staging.StagedOutput] = ()
    placement: Placement = Placement()
    note: str = ""

    @property
    def node_id(self) -> str:
        """The node's name."""
        return self.node.id

    @property
    def execution_id(self) -> int:
        """The execution's id in the store."""
        return int(self.info.execution_id)

    def invocation(self) -> bytes:
        """Serialize what the worker needs, as TFX's `ExecutionInvocation`."""
        return bytes(self.info.to_proto().SerializeToString())

    def with_info(self, **changes: Any) -> Prepared:
        """Return it with another `ExecutionInfo`, of which these fields have changed."""
        info = _tfx.data_types.ExecutionInfo(**{**self.info.__dict__, **changes})
        return replace(self, info=info)


@dataclass(frozen=True)
class Work:
    """What a worker is to do for a node: run its driver, or its executor."""

    kind: Literal["driver", "executor"]
    prepared: Prepared

    @property
    def spec(self) -> _tfx.ExecutableSpec | None:
        """What is to be run."""
        node = self.prepared.node
        return node.driver if self.kind == "driver" else node.executor


@dataclass(frozen=True)
class Broken:
    """A node whose life has ended without outputs, and why.

    `execution_id` is None if it could not even be registered. `failure` says of what its work
    failed, which may go well another time; it is empty where what stands around the work did.
    """

    state: State
    reason: str
    execution_id: int | None = None
    failure: str = ""


Outcome = Finished | Skipped | Broken
