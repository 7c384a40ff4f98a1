"""Where an artifact, or the model that is being served, comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from penstock.project.config import Config
from penstock.project.user_code import package_root
from penstock.surfaces.cli.options import json_option, open_store, profile_option, project_config
from penstock.surfaces.cli.printing import echo, echo_json, secho

if TYPE_CHECKING:
    from penstock.metadata.graph import ExecutionRecord
    from penstock.metadata.lineage import Lineage, Row
    from penstock.metadata.reading import ArtifactRecord
    from penstock.metadata.runs import RunRecord
    from penstock.metadata.served import FolderComparison, Provenance, Served

# Deeper branches are not drawn further to the right.
_MOST_INDENT = 24


@click.command()
@click.argument("artifact", required=False)
@click.option("--down", is_flag=True, help="What was made from it, not what it was made from.")
@click.option(
    "--served",
    metavar="DIR",
    help="What made the model in DIR: a folder that a model server watches, or a version in it.",
)
@profile_option
@json_option
@click.pass_context
def lineage(
    context: click.Context,
    artifact: str | None,
    down: bool,
    served: str | None,
    profile_name: str | None,
    as_json: bool,
) -> None:
    """Show what ARTIFACT was made from, as a tree.

    ARTIFACT is an artifact's id, its path (or that of a file in it), or RUN/NODE/KEY.

    \b
    Examples:
      penstock lineage latest/Trainer/model
      penstock lineage 3 --down
      penstock lineage --served serving/penguins
    """
    from penstock.metadata.lineage import ancestors, descendants, find_artifact

    if (artifact is None) == (served is None) or (served is not None and down):
        raise click.UsageError("Name one ARTIFACT, or a folder with --served DIR.", context)
    if served is not None:
        _explain_served(context, served, profile_name, as_json)
        return
    assert artifact is not None
    with open_store(context, profile_name) as metadata:
        record = find_artifact(metadata.store, artifact)
        trace = descendants if down else ancestors
        result = trace(metadata.store, record.artifact_id)
    if as_json:
        echo_json(lineage_as_json(result))
    else:
        _print_tree(result)


def _print_tree(result: Lineage) -> None:
    lasts: list[bool] = []
    for row in result.rows():
        del lasts[row.depth :]
        lasts.append(row.is_last)
        secho(_guides(lasts[1:]), dim=True, nl=False)
        _print_row(row)


def _guides(lasts: list[bool]) -> str:
    if not lasts:
        return ""
    hidden = len(lasts) - _MOST_INDENT
    start = f"({hidden} more) " if hidden > 0 else ""
    bars = "".join("   " if last else "│  " for last in lasts[max(0, hidden) : -1])
    return start + bars + ("└─ " if lasts[-1] else "├─ ")


def _print_row(row: Row) -> None:
    from penstock.report.wording import from_here

    artifact = row.artifact
    if row.key:
        echo(f"{row.key}: ", nl=False)
    secho(f"{artifact.type_name} {artifact.artifact_id}", bold=True, nl=False)
    if row.repeated:
        more = f" and {row.others} more" if row.others else ""
        secho(f"{more}  as above", dim=True)
        return
    if row.depth == 0:
        echo(f"  {from_here(artifact.uri)}", nl=False)
    echo(f"  {describe_maker(row.maker)}", nl=False)
    if artifact.digest:
        secho(f"  {artifact.digest[:8]}", dim=True, nl=False)
    if artifact.state != "live":
        secho(f"  {artifact.state}", fg="yellow", nl=False)
    if row.along_with is not None:
        first = row.along_with
        secho(f"  along with {first.type_name} {first.artifact_id}", dim=True, nl=False)
    echo()


def describe_maker(maker: ExecutionRecord | None) -> str:
    """Return by which node and run something was made."""
    if maker is None:
        return "not made by any run"
    state = "" if maker.node.state == "done" else f" ({maker.node.state})"
    return f"by {maker.node.node_id}{state} in run {maker.run_id}"


def _explain_served(
    context: click.Context, folder: str, profile_name: str | None, as_json: bool
) -> None:
    from penstock.metadata.served import explain_served

    with open_store(context, profile_name) as metadata:
        explained = explain_served(metadata.store, folder)
    folders = _code_folders(project_config(context))
    if as_json:
        echo_json(served_as_json(explained, folders))
    else:
        _print_served(explained, folders)


def _code_folders(config: Config) -> list[str]:
    """Return the folders that the project's pipelines are imported from."""
    files = [
        config.folder / target.partition(":")[0]
        for target in config.pipelines.values()
        if ".py:" in target
    ]
    return [str(config.folder), *(str(package_root(file)) for file in files if file.exists())]


def _print_served(served: Served, folders: list[str]) -> None:
    from penstock.execution.evidence import is_intact
    from penstock.report.wording import from_here, when

    push = served.pushed.maker
    secho(from_here(served.folder), bold=True, nl=False)
    if push:
        echo(f"  pushed {when(push.node.ended)} by {push.node.node_id}", nl=False)
        echo(f" in run {push.run_id} of {push.pipeline_name}", nl=False)
    echo()
    if served.is_elsewhere:
        destination = served.pushed.artifact.properties.get("pushed_destination")
        secho(f"  it was pushed to {destination}, and found by its contents", fg="yellow")
    _print_contents(served.contents)
    if is_intact(served.pushed.artifact) is False:
        secho("  THE COPY THAT THE PUSH KEPT WAS CHANGED SINCE", fg="red", bold=True, nl=False)
        secho(f": {served.pushed.artifact.uri}", fg="red")
    _print_artifact("model", served.model)
    training = served.model.maker
    if training:
        node = training.node
        echo(f"  trained by   {node.node_id}, {when(node.ended)}", nl=False)
        echo(f", run {training.run_id}", nl=False)
        is_earlier = push is not None and push.run_id != training.run_id
        secho("  (an earlier run; its model was used again)" if is_earlier else "", fg="cyan")
        _print_how(training, folders)
    for data in served.data:
        _print_artifact("data", data)
        _print_data(data)
        if data.maker:
            _print_code(data.maker, folders)
    for source in served.sources:
        _print_artifact("  from", source)
    for schema in served.schemas:
        _print_artifact("schema", schema)
        if schema.maker:
            _print_how(schema.maker, folders)
    for graph in served.transform_graphs:
        _print_artifact("transform", graph)
        if graph.maker:
            _print_how(graph.maker, folders)
    for evaluation in served.evaluations:
        _print_artifact("evaluation", evaluation)
        _print_evaluation(evaluation)
    for blessing in served.blessings:
        _print_artifact(
            "blessing", blessing, yes_or_no(blessing.artifact.properties.get("blessed"))
        )
    for run in served.runs.values():
        if run.parameters:
            secho("parameters  ", bold=True, nl=False)
            echo(f" of run {run.run_id}, which {_part_of(run, served)}")
            for name, value in run.parameters.items():
                echo(f"    -p {name}={value}")


def _print_contents(contents: FolderComparison) -> None:
    if contents.is_same is None:
        secho("  no copy of what was pushed is left to compare the folder with", fg="yellow")
        return
    if contents.is_same:
        files = f"{contents.files} file" + ("" if contents.files == 1 else "s")
        secho(f"  as it was pushed, {files} compared", fg="green")
        return
    secho("  NOT WHAT WAS PUSHED", fg="red", bold=True, nl=False)
    secho(f"; compared with {contents.reference}:", fg="red")
    for what in ("changed", "missing", "added"):
        for name in getattr(contents, what):
            secho(f"    {what:<8} {name}", fg="red")


def _print_artifact(title: str, provenance: Provenance, note: str = "") -> None:
    from penstock.report.wording import from_here

    artifact = provenance.artifact
    secho(f"{title:<12}", bold=True, nl=False)
    echo(f" {note + ', ' if note else ''}{artifact.type_name} {artifact.artifact_id}", nl=False)
    if title != "model":
        echo(f" {describe_maker(provenance.maker)}", nl=False)
    secho(f"  {from_here(artifact.uri)}", dim=True, nl=False)
    if artifact.digest:
        secho(f"  {artifact.digest[:8]}", dim=True, nl=False)
    secho("" if artifact.state == "live" else f"  {artifact.state}", fg="yellow")


def _print_data(data: Provenance) -> None:
    properties = data.artifact.properties
    if data.maker and "input_base" in data.maker.node.parameters:
        echo(f"    read from {data.maker.node.parameters['input_base']}")
    for name in ("span", "version", "input_fingerprint"):
        if name in properties:
            echo(f"    {name} {properties[name]}")


def _part_of(run: RunRecord, served: Served) -> str:
    parts = []
    if run is served.training_run:
        parts.append("trained it")
    if run is served.pushing_run:
        parts.append("pushed it")
    return " and ".join(parts) or "read its data"


def _print_how(execution: ExecutionRecord, folders: list[str]) -> None:
    """Print the parameters and the code of an execution, and whether that is still on the disk."""
    for name, value in sorted(execution.node.parameters.items()):
        echo(f"    {name} = {value}")
    _print_code(execution, folders)


def _print_code(execution: ExecutionRecord, folders: list[str]) -> None:
    states = _code_states(execution, folders)
    for name, digest in execution.node.code.items():
        echo(f"    code {name}  {digest[:12]}  ", nl=False)
        text, color = {
            "same": ("the same on disk", "green"),
            "changed": ("CHANGED on disk since", "red"),
        }.get(states[name], ("not known whether it is the same on disk", None))
        secho(text, fg=color)


def _code_states(execution: ExecutionRecord, folders: list[str]) -> dict[str, str]:
    from penstock.execution.evidence import code_on_disk

    node = execution.node
    return code_on_disk(execution.type_name, node.parameters, node.code, folders)


def _print_evaluation(evaluation: Provenance) -> None:
    from penstock.metadata.evaluations import metrics_of, thresholds_of
    from penstock.report.wording import metric as shown

    for metric in metrics_of(evaluation.artifact):
        echo(f"    {metric.name} {shown(metric.name, metric.value)}")
    for threshold in thresholds_of(evaluation.maker):
        echo(f"    threshold on {threshold}")


def yes_or_no(blessed: object) -> str:
    """Return what a blessing's property says."""
    return {1: "yes", 0: "no"}.get(blessed, "neither yes nor no")  # type: ignore[call-overload]


def served_as_json(served: Served, folders: list[str]) -> dict[str, Any]:
    """Return what made a served model as JSON can have it; code is looked for in `folders`."""
    from penstock.execution.evidence import is_intact
    from penstock.metadata.evaluations import metrics_of, thresholds_of
    from penstock.surfaces.cli.runs import run_as_json

    contents = served.contents
    content: dict[str, Any] = {
        "folder": served.folder,
        "contents": {
            **vars(contents),
            "is_same": contents.is_same,
            "copy_is_intact": is_intact(served.pushed.artifact),
        },
        "pushing_run": served.pushed.maker.run_id if served.pushed.maker else None,
        "training_run": served.model.maker.run_id if served.model.maker else None,
        "pushed": _artifact_as_json(served.pushed),
        "model": _artifact_as_json(served.model),
    }
    for name in ("data", "sources", "schemas", "transform_graphs", "evaluations", "blessings"):
        content[name] = [_artifact_as_json(provenance) for provenance in getattr(served, name)]
    for provenance, entry in zip(served.evaluations, content["evaluations"], strict=True):
        entry["metrics"] = [vars(metric) for metric in metrics_of(provenance.artifact)]
        entry["thresholds"] = thresholds_of(provenance.maker)
    if served.model.maker:
        content["model"]["made_by"]["code_on_disk"] = _code_states(served.model.maker, folders)
    for provenance, entry in zip(served.transform_graphs, content["transform_graphs"], strict=True):
        if provenance.maker:
            entry["made_by"]["code_on_disk"] = _code_states(provenance.maker, folders)
    content["runs"] = {name: run_as_json(run)["parameters"] for name, run in served.runs.items()}
    return content


def _artifact_as_json(provenance: Provenance) -> dict[str, Any]:
    content = artifact_as_json(provenance.artifact, provenance.maker)
    content["made_by"] = execution_as_json(provenance.maker) if provenance.maker else None
    return content


def lineage_as_json(result: Lineage) -> dict[str, Any]:
    """Return a lineage as JSON can have it: a graph, not a tree."""
    artifacts = result.artifacts()
    makers = {a.artifact_id: result.graph.maker(a.artifact_id) for a in artifacts}
    executions = {m.execution_id: m for m in makers.values() if m is not None}
    return {
        "artifact": result.artifact.artifact_id,
        "direction": "down" if result.is_down else "up",
        "artifacts": [artifact_as_json(a, makers[a.artifact_id]) for a in artifacts],
        "executions": [
            execution_as_json(
                execution,
                inputs=_by_key(result.graph.inputs.get(execution_id, ())),
                outputs=_by_key(result.graph.outputs.get(execution_id, ())),
            )
            for execution_id, execution in sorted(executions.items())
        ],
    }


def _by_key(links: Any) -> dict[str, list[int]]:
    by_key: dict[str, list[int]] = {}
    for link in links:
        by_key.setdefault(link.key, []).append(link.artifact_id)
    return by_key


def artifact_as_json(artifact: ArtifactRecord, maker: ExecutionRecord | None) -> dict[str, Any]:
    """Return an artifact as JSON can have it."""
    return {
        "id": artifact.artifact_id,
        "type": artifact.type_name,
        "uri": artifact.uri,
        "state": artifact.state,
        "made": artifact.created.isoformat(),
        "made_by": maker.execution_id if maker else None,
        "properties": dict(artifact.properties),
    }


def execution_as_json(execution: ExecutionRecord, **more: Any) -> dict[str, Any]:
    """Return an execution as JSON can have it."""
    node = execution.node
    return {
        "id": node.execution_id,
        "node": node.node_id,
        "run": execution.run_id,
        "pipeline": execution.pipeline_name,
        "state": node.state,
        "began": node.began.isoformat(),
        "ended": node.ended.isoformat(),
        "parameters": dict(node.parameters),
        "code": dict(node.code),
        "measured": dict(node.measured),
        **more,
    }
