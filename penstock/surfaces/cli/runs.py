"""Looking at runs."""

from __future__ import annotations

import json
from typing import Any

import click

from penstock.errors import RunError
from penstock.surfaces.cli.completion import PIPELINE, RUN
from penstock.surfaces.cli.options import json_option, open_store, profile_option
from penstock.surfaces.cli.printing import echo_json


@click.command()
@click.option("--pipeline", "pipeline_name", type=PIPELINE, help="Only the runs of this pipeline.")
@click.option("-n", "--most", default=20, show_default=True, help="How many, newest first.")
@profile_option
@json_option
@click.pass_context
def runs(
    context: click.Context,
    pipeline_name: str | None,
    most: int,
    profile_name: str | None,
    as_json: bool,
) -> None:
    """List runs, newest first.

    \b
    Example:
      penstock runs --pipeline flights
    """
    from penstock.metadata.runs import list_runs
    from penstock.surfaces.cli.service import record_lent
    from penstock.surfaces.cli.summary import print_runs

    with open_store(context, profile_name) as metadata:
        record_lent(context, profile_name, metadata)
        records = list_runs(metadata.store, pipeline_name=pipeline_name, most=most)
    if as_json:
        echo_json([run_as_json(record) for record in records])
    else:
        print_runs(records)


@click.command()
@click.argument("run_id", metavar="RUN", type=RUN)
@profile_option
@json_option
@click.pass_context
def show(context: click.Context, run_id: str, profile_name: str | None, as_json: bool) -> None:
    """Show a RUN: its nodes, parameters and artifacts. `latest` is the newest.

    \b
    Example:
      penstock show latest
    """
    from penstock.metadata.graph import read_makers
    from penstock.metadata.layout import run_folder
    from penstock.metadata.reading import run_context
    from penstock.metadata.run_requests import run_root
    from penstock.metadata.runs import base_run_of, find_run, node_artifacts
    from penstock.surfaces.cli.service import cached_elsewhere, record_lent
    from penstock.surfaces.cli.summary import print_run

    with open_store(context, profile_name) as metadata:
        record_lent(context, profile_name, metadata)
        try:
            record = find_run(metadata.store, run_id)
        except RunError:
            elsewhere = cached_elsewhere(context, profile_name, run_id)
            if elsewhere is None:
                raise
            # It may be none of the newest, which have been asked for.
            record_lent(context, profile_name, metadata, run_id)
            try:
                record = find_run(metadata.store, run_id)
            except RunError:
                raise elsewhere from None
        artifacts = {n.execution_id: node_artifacts(metadata.store, n) for n in record.nodes}
        artifact_ids = {
            a.id for _, outputs in artifacts.values() for f in outputs.values() for a in f
        }
        makers = read_makers(metadata.store, artifact_ids)
        root = run_root(run_context(metadata.store, record.run_id))
        base_run = base_run_of(metadata.store, record.run_id)
    folder = run_folder(root, record.run_id) if root else ""
    if as_json:
        content = run_as_json(record) | {"base_run": base_run or None}
        for node in content["nodes"]:
            inputs, outputs = artifacts[node["execution_id"]]
            node["inputs"] = {
                key: [a.uri for a in artifacts_of_key] for key, artifacts_of_key in inputs.items()
            }
            node["outputs"] = {
                key: [a.uri for a in artifacts_of_key] for key, artifacts_of_key in outputs.items()
            }
            node["resources"] = _resources(folder, node["node_id"])
            node["made_by"] = sorted(
                {makers[a.id].run_id for f in outputs.values() for a in f if a.id in makers}
            )
        echo_json(content)
    else:
        made = {key: outputs for key, (_, outputs) in artifacts.items()}
        print_run(record, made, makers, base_run)


def _resources(folder: str, node_id: str) -> dict[str, float | None] | None:
    """Return what a node has taken while it worked; None where nothing was measured."""
    from penstock.execution.resources import read_resources
    from penstock.metadata.layout import resources_path

    taken = read_resources(resources_path(folder, node_id)) if folder else None
    return taken.totals() if taken else None


def run_as_json(record: Any) -> dict[str, Any]:
    """Return a run as JSON can have it."""
    content = json.loads(json.dumps(record, default=_plain))
    content["seconds"] = record.seconds
    return content


def _plain(value: Any) -> Any:
    return value.isoformat() if hasattr(value, "isoformat") else vars(value)
