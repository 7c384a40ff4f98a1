"""What the nodes of a part of a pipeline are lent by those that do not run, and from which run.

All of it comes from one run, as in TFX: what several have made need not fit together. It is the run
that is named, or the newest that has all that is needed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from penstock import _tfx, ir
from penstock.errors import PenstockError, RunError, RunLookupError
from penstock.execution.contents import first_damage
from penstock.execution.looping import unfold_known
from penstock.execution.reuse import finished_in_run, take_over
from penstock.execution.schedule import read_graph
from penstock.execution.stages import Finished
from penstock.ir.reading import RUN_CONTEXT
from penstock.ir.unfolding import waiting_loops
from penstock.metadata.executions import node_executions
from penstock.metadata.protocol import Metadata, Store
from penstock.metadata.reading import (
    PIPELINE_CONTEXT,
    chosen_contexts,
    places_of,
    run_context,
)
from penstock.metadata.runs import find_run
from penstock.metadata.store import execution_outputs

_Execution = _tfx.metadata_store_pb2.Execution
_ENDED = (_Execution.COMPLETE, _Execution.CACHED, _Execution.FAILED, _Execution.CANCELED)
_WIDEN = "widen --from, --to or --only."

# An execution, and its outputs.
_Lent = tuple[int, _tfx.Artifacts]


@dataclass(frozen=True)
class Lending:
    """Which run lends to a part of a pipeline, and which nodes lend of it.

    In `pipeline` each node that does not run either lends or does not. `base_run` is the run, None
    where there is none; `newer` says of a newer one why it is not that. `lacking` says by node why
    it cannot lend what others need. Where `is_asked` is false, nothing is to be lent.
    """

    pipeline: ir.Pipeline
    base_run: str | None = None
    newer: str = ""
    lacking: Mapping[str, RunLookupError] = field(default_factory=dict)
    is_asked: bool = True

    def check(self) -> None:
        """See that everything is there that is needed.

        Raises:
          RunLookupError: it is not.
        """
        for error in self.lacking.values():
            raise error

    @property
    def origin(self) -> str:
        """Say which run it is, and why not a newer one."""
        if self.base_run is None:
            return ""
        return f"from run {self.base_run}" + (f": {self.newer}" if self.newer else "")


def decide(store: Store, pipeline: ir.Pipeline, named: str | None = None) -> Lending:
    """Return which run lends to a bound pipeline, and whether all is there that is needed.

    `named` is the run that is asked for; without it, the pipeline's own marks say which it is.

    Raises:
      RunLookupError: there is no run of that name.
      RunError: it is another pipeline's.
    """
    named = named or pipeline.base_run
    base = None if named is None else _run_of(store, pipeline, named)
    required = [node for node in pipeline if node.lends]
    optional = [node for node in pipeline if node.may_lend]
    if not (required or optional):
        return Lending(pipeline, base, is_asked=False)
    newer = ""
    if base is None and pipeline.lends_of_latest:
        base = _latest_run(store, pipeline)
    if base is None and required:
        base, newer = _newest_with(store, pipeline, required)
    elif base is None:
        there = [node for node in optional if lendable(store, pipeline, node, None)]
        base = _newest_with(store, pipeline, there)[0] or _latest_run(store, pipeline)
    lent = _all_lent(store, pipeline, base)
    lacking = [node for node in required if lent.get(node.id, ()) is None]
    nodes = {
        node.id: node.left_out(lends=lent.get(node.id) is not None) if node.may_lend else node
        for node in pipeline
    }
    return Lending(
        replace(pipeline, nodes=MappingProxyType(nodes)),
        base,
        newer,
        _reasons(store, pipeline, lacking, base),
    )


def lend(metadata: Metadata, pipeline: ir.Pipeline, node: ir.Node, run: str | None) -> Finished:
    """Take a node's outputs over from a run, or from any run where it is None.

    Raises:
      RunLookupError: there are none that are all still there.
    """
    lent = lendable(metadata.store, pipeline, node, run)
    if lent is None:
        raise _nothing_of(node, run)
    return take_over(metadata, node, *lent)


def lendable(store: Store, pipeline: ir.Pipeline, node: ir.Node, run: str | None) -> _Lent | None:
    """Return a node's newest successful execution, of a run or any, whose outputs are all there.

    Where there is none, one that has failed lends nothing, to those that start after failures too
    and where the node may fail: so they run as in TFX.
    """
    ended = None
    for execution in node_executions(store, pipeline.name, node.id, run=run):
        if _tfx.execution_lib.is_execution_successful(execution):
            outputs = execution_outputs(store, execution.id)
            if not first_damage(outputs):
                return int(execution.id), outputs
        elif ended is None and execution.last_known_state in _ENDED:
            ended = int(execution.id)
    if ended is not None and _may_have_failed(pipeline, node):
        return ended, {}
    return None


def record_base(metadata: Metadata, run_id: str, base_run: str) -> None:
    """Record, as TFX does, that a run was lent what another one has: that one is its parent."""
    _tfx.context_lib.put_parent_context_if_not_exists(
        metadata,
        parent_id=run_context(metadata.store, base_run).id,
        child_id=run_context(metadata.store, run_id).id,
    )


def _may_have_failed(pipeline: ir.Pipeline, node: ir.Node) -> bool:
    graph = read_graph(pipeline)
    return node.is_optional or any(
        graph.trigger(name).takes_failures for name in node.proto.downstream_nodes
    )


def _run_of(store: Store, pipeline: ir.Pipeline, named: str) -> str:
    record = find_run(store, named)
    if record.pipeline_name != pipeline.name:
        raise RunError(
            f"run {record.run_id} is one of pipeline {record.pipeline_name}, and cannot lend to "
            f"one of {pipeline.name}"
        )
    return record.run_id


def _latest_run(store: Store, pipeline: ir.Pipeline) -> str | None:
    """Return the newest run of a pipeline, whatever has become of it."""
    context = store.get_context_by_type_and_name(PIPELINE_CONTEXT, pipeline.name)
    if context is None:
        return None
    query = f"type = '{RUN_CONTEXT}' AND parent_contexts_of.id = {context.id}"
    runs = (str(run.name) for run in chosen_contexts(store, query, newest_first=True))
    return next((name for name in runs if name != pipeline.run_id), None)


def _newest_with(
    store: Store, pipeline: ir.Pipeline, wanted: Sequence[ir.Node]
) -> tuple[str | None, str]:
    """Return the newest run that has what all of these would lend, and why a newer one has not."""
    # Of loops it is known for a certain run for which items; what is lent already is settled.
    single = [n for n in wanted if not n.loops and finished_in_run(store, n) is None]
    if not single or not all(lendable(store, pipeline, node, None) for node in single):
        return None, ""
    newer, seen = "", {"", pipeline.run_id}
    for execution in node_executions(store, pipeline.name, single[0].id):
        run = places_of(store, [execution.id])[execution.id].run_id
        if run in seen:
            continue
        seen.add(run)
        lent = _all_lent(store, pipeline, run)
        lacking = [node.id for node in wanted if lent.get(node.id, ()) is None]
        if not lacking:
            return run, newer
        newer = newer or f"run {run} is newer, and lacks what {' and '.join(lacking)} would lend"
    return None, ""


def _all_lent(store: Store, pipeline: ir.Pipeline, run: str | None) -> Mapping[str, _Lent | None]:
    """Return what nodes that do not run would lend of a run, None for nothing.

    Those of loops have it if they have it for every item; they are not there while it is not known
    for which.
    """
    lent: dict[str, _Lent | None] = {}
    unfolded = pipeline
    while True:
        asked = [n for n in unfolded if (n.lends or n.may_lend) and not n.loops]
        for node in asked:
            if node.id not in lent:
                lent[node.id] = _lent(store, unfolded, node, run)
        outputs = {name: one[1] for name, one in lent.items() if one is not None}
        known = [p for p in waiting_loops(unfolded).values() if p.producers <= outputs.keys()]
        if not known:
            break
        try:
            unfolded = unfold_known(unfolded, known[0], outputs)
        except (PenstockError, OSError):
            break  # The run tells it.
    of_all: dict[str, _Lent | None] = {}
    for node in asked:
        name = node.id
        while name not in pipeline.nodes:
            name = name.rpartition(".")[0]  # from the node for an item to that for all
        of_all[name] = lent[node.id] if of_all.get(name, ()) is not None else None
    return of_all


def _lent(store: Store, pipeline: ir.Pipeline, node: ir.Node, run: str | None) -> _Lent | None:
    finished = finished_in_run(store, node)
    if finished is not None:
        return finished.execution_id, finished.outputs
    return None if run is None else lendable(store, pipeline, node, run)


def _reasons(
    store: Store, pipeline: ir.Pipeline, lacking: Sequence[ir.Node], base: str | None
) -> Mapping[str, RunLookupError]:
    """Return by node why it cannot lend."""
    if base is not None:
        return {node.id: _nothing_of(node, base) for node in lacking}
    lent = {node.id: lendable(store, pipeline, node, None) for node in lacking}
    if not all(lent.values()):
        return {node.id: _nothing_of(node, None) for node in lacking if lent[node.id] is None}
    places = places_of(store, [found[0] for found in lent.values() if found])
    told = [f"run {places[one[0]].run_id} has that of {name}" for name, one in lent.items() if one]
    error = RunLookupError(
        f"nodes {' and '.join(lent)} are left out, but nodes that are to run need what all of them "
        f"have put out in one run, and no run of {pipeline.name} has it: {', '.join(told)}",
        hint=f"Let one of them run too: {_WIDEN}",
    )
    return dict.fromkeys(lent, error)


def _nothing_of(node: ir.Node, run: str | None) -> RunLookupError:
    where = f"run {run}" if run else f"any run of {node.pipeline}"
    return RunLookupError(
        f"node {node.id} is left out, but nodes that are to run need its outputs, and it has "
        f"none from {where}",
        hint=f"Let it run too: {_WIDEN}",
    )
