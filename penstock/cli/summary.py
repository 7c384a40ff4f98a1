"""What the commands print: results of a run, and runs from the store."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import click

from penstock.metadata.runs import RunRecord
from penstock.runners.local import NodeResult, RunResult, State
from penstock.runners.local.runner import log_tail

_COLORS = {
    "done": "green",
    "cached": "green",
    "failed": "red",
    "canceled": "yellow",
    "running": "cyan",
}


def print_result(result: RunResult) -> None:
    """Print what a run came to: failures with their logs, or metrics, blessing and push."""
    for node in result.nodes.values():
        if node.state is State.FAILED:
            _print_failure(node)
    click.echo()
    _print_state(result.state.value)
    click.echo(f" {result.pipeline_name}  run {result.run_id}  {result.seconds:.1f} s")
    made = [a for n in result.nodes.values() for a in _made_by(n.node_id, n.outputs)]
    for line in describe_outcome(made):
        click.echo(f"  {line}")
    click.echo(f"  next       penstock show {result.run_id}")


def _made_by(node_id: str, outputs: Mapping[str, list[Any]]) -> list[Any]:
    """Return the artifacts that stand in a node's own folder; a resolver's are others'."""
    return [a for found in outputs.values() for a in found if f"/{node_id}/" in a.uri]


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
        lines += [f"           {reason}" for reason in (json.loads(reasons) if reasons else [])]
    for pushed in by_type.get("PushedModel", []):
        if pushed.get_int_custom_property("pushed") == 1:
            destination = pushed.get_string_custom_property("pushed_destination")
            lines.append(f"pushed     {_short(destination)}")
        else:
            lines.append("pushed     no")
    return lines


def _metric_lines(evaluation: Any) -> list[str]:
    text = evaluation.get_string_custom_property("metrics")
    if not text:
        return []
    metrics = json.loads(text)
    width = max((len(metric["metric"]) for metric in metrics), default=0)
    lines = ["metrics"] if metrics else []
    for metric in metrics:
        lower, upper = metric.get("lower"), metric.get("upper")
        interval = ""
        if lower is not None and metric["metric"] != "example_count":
            interval = f"  (95 % between {lower:.4f} and {upper:.4f})"
        lines.append(f"  {metric['metric']:<{width}}  {_number(metric['value'])}{interval}")
    return lines


def _number(value: float) -> str:
    is_count = value.is_integer() and abs(value) > 1
    return f"{value:,.0f}" if is_count else f"{value:.4f}"


def print_runs(runs: Iterable[RunRecord]) -> None:
    """Print a line a run."""
    rows = list(runs)
    if not rows:
        click.echo("no runs yet")
        return
    width = max(len(run.pipeline_name) for run in rows)
    for run in rows:
        _print_state(run.state)
        click.echo(
            f"  {run.run_id}  {run.pipeline_name:<{width}}  {_when(run.began)}  "
            f"{run.seconds:8.1f} s  {len(run.nodes)} nodes"
        )


def print_run(run: RunRecord, outputs: Mapping[int, Mapping[str, list[Any]]]) -> None:
    """Print a run: parameters, nodes with their artifacts, and what came of it."""
    _print_state(run.state)
    click.echo(f" {run.pipeline_name}  run {run.run_id}  {_when(run.began)}  {run.seconds:.1f} s")
    for name, value in run.parameters.items():
        click.echo(f"  -p {name}={value}")
    for node in run.nodes:
        _print_state(f"  {node.state}", node.state)
        resources = ""
        if "cpu_seconds" in node.measured:
            memory = node.measured.get("peak_memory_bytes", 0) / 2**20
            resources = f"  {node.measured['cpu_seconds']:.1f} s CPU, {memory:,.0f} MB"
        click.echo(f"  {node.node_id}  {node.seconds:.1f} s{resources}")
        if node.error:
            click.echo(f"      {node.error}")
        for key, artifacts in outputs.get(node.execution_id, {}).items():
            for artifact in artifacts:
                click.echo(f"      {key}: {_short(artifact.uri)}")
    made = [a for n in run.nodes for a in _made_by(n.node_id, outputs.get(n.execution_id, {}))]
    for line in describe_outcome(made):
        click.echo(f"  {line}")


def _print_failure(node: NodeResult) -> None:
    click.echo(err=True)
    click.secho(f"{node.node_id} failed: ", fg="red", bold=True, nl=False, err=True)
    click.echo(node.error, err=True)
    if node.log_path:
        click.secho(f"the end of {_short(node.log_path)}:", dim=True, err=True)
        for line in log_tail(node.log_path).splitlines():
            click.echo(f"  {line}", err=True)


def _print_state(text: str, state: str | None = None) -> None:
    click.secho(f"{text:<8}", fg=_COLORS.get(state or text), bold=True, nl=False)


def _when(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S")


def _short(path: str) -> str:
    relative = os.path.relpath(path)
    return path if relative.startswith("..") else relative
