"""What the commands print: results of a run, and runs from the store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from penstock.execution.elapsed import KINDS
from penstock.execution.logs import log_tail
from penstock.execution.plan import NodePlan, Verdict
from penstock.metadata.evaluations import read_metrics
from penstock.metadata.graph import ExecutionRecord
from penstock.metadata.rows import Row, json_of, property_or
from penstock.metadata.runs import EventDelivery, NodeRecord, RunRecord
from penstock.report.wording import from_here, number, size, when
from penstock.report.wording import metric as shown_metric
from penstock.runners.local import NodeResult, RunResult, State
from penstock.surfaces.cli.options import column
from penstock.surfaces.cli.printing import echo, echo_indented, secho

if TYPE_CHECKING:
    from penstock import _tfx

_COLORS = {
    "done": "green",
    "cached": "green",
    "failed": "red",
    "canceled": "yellow",
    "running": "cyan",
    "abandoned": "red",
}


def print_result(result: RunResult, resume: str) -> None:
    """Print what a run came to: failures with their logs, or metrics, blessing and push.

    `resume` is the command that goes on with the run.
    """
    for node in result.nodes.values():
        if node.state is State.FAILED:
            _print_failure(node)
    echo()
    _print_state(result.state.value)
    echo(f" {result.pipeline_name}  run {result.run_id}  {result.seconds:.1f} s")
    artifacts = [a for n in result.nodes.values() for a in _artifacts_of(n.node_id, n.outputs)]
    for line in describe_outcome(artifacts):
        echo(f"  {line}")
    _print_lost_events(result.events)
    if result.report:
        echo(f"  report     {from_here(result.report)}")
    elif result.report_error:
        secho(f"  report     none: {result.report_error}", fg="yellow")
    if result.succeeded:
        echo(f"  next       penstock show {result.run_id}")
    elif result.state is State.FAILED:
        echo(f"  next       fix that, and go on: {resume}")
    else:
        echo(f"  next       {resume}")


def _print_lost_events(delivery: EventDelivery | None) -> None:
    if delivery is not None and delivery.lost:
        secho(f"  openlineage: {delivery}", fg="yellow")


_VERDICTS = {
    Verdict.CACHED: ("✔", "green"),
    Verdict.REUSED: ("✔", "green"),
    Verdict.LOOKS_UP: ("·", None),
    Verdict.RUNS: ("▶", "cyan"),
    Verdict.DEPENDS: ("?", "yellow"),
    Verdict.SKIPPED: ("–", None),
    Verdict.FAILS: ("✘", "red"),
}


def print_plan(planned: Iterable[NodePlan]) -> None:
    """Print what would become of each node, a reason a line."""
    planned = list(planned)
    for node, name in zip(planned, column(node.node_id for node in planned), strict=True):
        mark, color = _VERDICTS[node.verdict]
        item = (f"item {node.item}",) if node.item else ()
        first, *more = (*item, *node.reasons) or ("",)
        head = f"{mark} {name}  {node.verdict.value:<8}"
        secho(head, fg=color, nl=False)
        echo(f"  {first}".rstrip())
        for reason in more:
            echo(f"{'':<{len(head)}}  {reason}")
        if node.done_by:
            echo(f"{'':<{len(head)}}  {node.done_by}")
        for code in node.unseen:
            echo(f"{'':<{len(head)}}  changes are not noticed: {code}")
    counts = Counter(node.verdict for node in planned)
    parts = [f"{counts[v]} {_PLANNED[v]}" for v in _PLANNED if counts[v]]
    echo()
    echo(", ".join(parts))


_PLANNED = {
    Verdict.RUNS: "to run",
    Verdict.DEPENDS: "to run unless what comes before stays the same",
    Verdict.CACHED: "cached",
    Verdict.REUSED: "reused",
    Verdict.LOOKS_UP: "to look up",
    Verdict.SKIPPED: "not to run",
    Verdict.FAILS: "that would fail",
}


def _artifacts_of(node_id: str, outputs: _tfx.Artifacts) -> list[Any]:
    """Return the artifacts that stand in a node's own folder; a resolver's are others'."""
    return [a for artifacts in outputs.values() for a in artifacts if f"/{node_id}/" in a.uri]


def describe_outcome(artifacts: Iterable[Any]) -> list[str]:
    """Return lines on metrics, blessing and push, from what a run made."""
    by_type: dict[str, list[Any]] = {}
    for artifact in artifacts:
        by_type.setdefault(artifact.type_name, []).append(artifact)
    lines = []
    for evaluation in by_type.get("ModelEvaluation", []):
        lines += _metric_lines(evaluation)
    for blessing in by_type.get("ModelBlessing", []):
        blessed = blessing.get_int_custom_property("blessed") == 1
        lines.append(f"blessed    {'yes' if blessed else 'no'}")
        reasons = blessing.get_string_custom_property("failures")
        lines += [f"           {reason}" for reason in _reasons(blessing, reasons)]
    for pushed in by_type.get("PushedModel", []):
        if pushed.get_int_custom_property("pushed") == 1:
            destination = pushed.get_string_custom_property("pushed_destination")
            lines.append(f"pushed     {from_here(destination)}")
        else:
            lines.append("pushed     no")
    return lines


def _metric_lines(evaluation: Any) -> list[str]:
    metrics = read_metrics(_row(evaluation), evaluation.get_string_custom_property("metrics"))
    lines = ["metrics"] if metrics else []
    names = column(metric.name for metric in metrics)
    for metric, name in zip(metrics, names, strict=True):
        interval = ""
        lower, upper = metric.lower, metric.upper
        if lower is not None and upper is not None and metric.name != "example_count":
            interval = f"  (95 % between {number(lower)} and {number(upper)})"
        lines.append(f"  {name}  {shown_metric(metric.name, metric.value)}{interval}")
    return lines


def _reasons(blessing: Any, text: str) -> list[Any]:
    if not text:
        return []
    return property_or(_row(blessing), "failures", lambda: json_of(text, list, "failures"), [])


def _row(artifact: Any) -> Row:
    return Row(artifact.type_name, artifact.id, artifact.uri)


def print_runs(runs: Iterable[RunRecord]) -> None:
    """Print a line a run."""
    rows = list(runs)
    if not rows:
        echo("no runs yet")
        return
    for run, name in zip(rows, column(run.pipeline_name for run in rows), strict=True):
        _print_state(run.state)
        echo(
            f"  {run.run_id}  {name}  {when(run.began)}  {run.seconds:8.1f} s  {_node_counts(run)}"
        )


def _node_counts(run: RunRecord) -> str:
    cached = sum(node.cached for node in run.nodes)
    return f"{len(run.nodes)} nodes" + (f", {cached} cached" if cached else "")


def print_run(
    run: RunRecord,
    outputs: Mapping[int, _tfx.Artifacts],
    makers: Mapping[int, ExecutionRecord],
    base_run: str = "",
) -> None:
    """Print a run: parameters, nodes with what they took and made, and what came of it.

    `outputs` are by the executions' ids, `makers` by the artifacts'; `base_run` has lent to it.
    """
    _print_state(run.state)
    echo(
        f" {run.pipeline_name}  run {run.run_id}  {when(run.began)}  {run.seconds:.1f} s  "
        f"{_node_counts(run)}"
    )
    for name, value in run.parameters.items():
        echo(f"  -p {name}={value}")
    if base_run:
        echo(f"  base       run {base_run}, which lent what did not run")
    if run.nodes:
        _print_nodes(run, outputs, makers)
    run_artifacts = [
        a for n in run.nodes for a in _artifacts_of(n.node_id, outputs.get(n.execution_id, {}))
    ]
    for line in describe_outcome(run_artifacts):
        echo(f"  {line}")
    beside = [f"{kind} {run.elapsed[kind]:.1f} s" for kind in KINDS if kind in run.elapsed]
    if beside:
        echo(f"  beside its nodes: {', '.join(beside)}")
    _print_lost_events(run.events)
    if run.state == "abandoned":
        echo(f"  next       nobody works on it any more; go on: penstock resume {run.run_id}")


def _print_nodes(
    run: RunRecord,
    outputs: Mapping[int, _tfx.Artifacts],
    makers: Mapping[int, ExecutionRecord],
) -> None:
    heading, *names = column(["", *(node.node_id for node in run.nodes)])
    heads = ("time", "CPU", "memory", "in", "out")
    secho(f"  {'':<8}  {heading}" + "".join(f"{h:>10}" for h in heads), dim=True)
    for node, name in zip(run.nodes, names, strict=True):
        _print_state(f"  {node.state}", node.state)
        cells = "".join(f"{cell:>10}" for cell in _resources(node))
        outputs_of_node = outputs.get(node.execution_id, {})
        echo(f"  {name}{cells}".rstrip() + _origin(run, outputs_of_node, makers))
        if node.item:
            echo(f"      item {node.item}")
        if node.done_by:
            echo(f"      {node.done_by}")
        if node.error:
            echo_indented(f"      {node.error}", "      ")
        for key, artifacts in outputs_of_node.items():
            for artifact in artifacts:
                echo(f"      {key}: {artifact.id}  {from_here(artifact.uri)}{_fate(artifact)}")


def _resources(node: NodeRecord) -> tuple[str, ...]:
    """Return what a node's work took; without measurements, the time from its first record."""
    took = node.measured
    seconds = took.get("wall_seconds", node.seconds)
    return (
        "" if node.cached else f"{seconds:.1f} s",
        f"{took['cpu_seconds']:.1f} s" if "cpu_seconds" in took else "",
        size(took.get("peak_memory_bytes")),
        size(node.bytes_in),
        size(node.bytes_out),
    )


def _fate(artifact: Any) -> str:
    deleted = artifact.mlmd_artifact.state in (
        artifact.mlmd_artifact.DELETED,
        artifact.mlmd_artifact.MARKED_FOR_DELETION,
    )
    return "  (removed)" if deleted else ""


def _origin(run: RunRecord, outputs: _tfx.Artifacts, makers: Mapping[int, ExecutionRecord]) -> str:
    """Say which other runs made what a node found in the cache or by resolving."""
    ids = [a.id for artifacts in outputs.values() for a in artifacts]
    others = {makers[i].run_id for i in ids if i in makers} - {run.run_id}
    return f"  made by run {', '.join(sorted(others))}" if others else ""


def _print_failure(node: NodeResult) -> None:
    echo(err=True)
    item = f" (item {node.item})" if node.item else ""
    secho(f"{node.node_id}{item} failed: ", fg="red", bold=True, nl=False, err=True)
    echo_indented(node.error, err=True)
    if not node.log_path:
        return
    # The log ends with the error, which has been said.
    before = log_tail(node.log_path).rstrip().removesuffix(f"error: {node.error}").rstrip()
    if not before:
        secho(f"its log: {from_here(node.log_path)}", dim=True, err=True)
        return
    secho(f"the end of {from_here(node.log_path)}:", dim=True, err=True)
    for line in before.splitlines():
        echo(f"  {line}", err=True)


def _print_state(text: str, state: str | None = None) -> None:
    secho(f"{text:<8}", fg=_COLORS.get(state or text), bold=True, nl=False)
