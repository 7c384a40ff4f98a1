"""What a run came to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from penstock import _tfx
from penstock.errors import RunError, suggestion
from penstock.execution.schedule import State
from penstock.metadata.runs import EventDelivery


@dataclass(frozen=True)
class NodeResult:
    """What became of a node.

    `outputs` are artifacts by key; `seconds` is the time of its work; `error` says in a paragraph
    what went wrong, or why it did not run; `log_path` is a file with all that it printed. The
    failure of an `optional` node does not fail the run. Of a `resolver` the outputs are what other
    runs have made. `item` is what is said of the item of a loop for which it ran.
    """

    node_id: str
    state: State
    execution_id: int | None = None
    outputs: _tfx.Artifacts = field(default_factory=dict)
    seconds: float | None = None
    error: str = ""
    log_path: str | None = None
    optional: bool = False
    resolver: bool = False
    item: str = ""


@dataclass(frozen=True)
class RunResult:
    """What a run came to, node by node in the pipeline's order.

    `events` says what became of its OpenLineage events, if it had a destination for them.
    `report` is the file of its report; without one, `report_error` says why.
    """

    run_id: str
    pipeline_name: str
    state: State
    parameters: Mapping[str, Any]
    nodes: Mapping[str, NodeResult]
    seconds: float
    events: EventDelivery | None = None
    report: str = ""
    report_error: str = ""

    @property
    def succeeded(self) -> bool:
        """Whether no node failed or was canceled."""
        return self.state is State.DONE

    def outputs(self, node_id: str) -> _tfx.Artifacts:
        """Return the artifacts that a node made, by key.

        Raises:
          RunError: the run has no such node.
        """
        if node_id not in self.nodes:
            raise RunError(
                f"run {self.run_id} has no node {node_id!r}",
                hint=suggestion(node_id, self.nodes, noun="node"),
            )
        return self.nodes[node_id].outputs

    def output(self, node_id: str, key: str) -> _tfx.Artifact:
        """Return the single artifact of a node's output.

        Raises:
          RunError: there is no such node or output, the node did not make it, or it has several.
        """
        outputs = self.outputs(node_id)
        if not outputs.get(key):
            raise RunError(
                f"run {self.run_id}: node {node_id} ({self.nodes[node_id].state.value}) has no "
                f"output {key!r}",
                hint=suggestion(key, outputs, noun="output"),
            )
        if len(outputs[key]) > 1:
            raise RunError(
                f"run {self.run_id}: node {node_id} has {len(outputs[key])} artifacts in its "
                f"output {key!r}",
                hint=f"Write outputs({node_id!r})[{key!r}] for the list of them.",
            )
        return outputs[key][0]


class RunFailed(RunError):
    """A run failed or was canceled; `result` has all that it came to."""

    def __init__(self, result: RunResult) -> None:
        failed = [n for n in result.nodes.values() if n.state is State.FAILED and not n.optional]
        if failed:
            first = failed[0]
            message = f"run {result.run_id}: node {first.node_id} failed: {first.error}"
            hint = f"Its log is {first.log_path}." if first.log_path else None
        else:
            message, hint = f"run {result.run_id} was {result.state.value}", None
        super().__init__(message, hint=hint)
        self.result = result
