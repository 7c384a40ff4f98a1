"""Looking at pipelines: which there are, and their intermediate representation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from penstock.errors import PenstockError
from penstock.project.profiles import Profile
from penstock.surfaces.cli.completion import PIPELINE
from penstock.surfaces.cli.options import (
    json_option,
    load_pipeline,
    profile_option,
    project_config,
)
from penstock.surfaces.cli.printing import echo, echo_json, echo_text, secho


@click.command("list")
@json_option
@click.pass_context
def list_pipelines(context: click.Context, as_json: bool) -> None:
    """List the pipelines of this project and their parameters.

    \b
    Example:
      penstock list
    """
    from penstock.authoring.pipeline import PipelineDefinition

    config = project_config(context)
    listed = []
    for name, target in sorted(config.pipelines.items()):
        entry: dict[str, Any] = {"name": name, "at": target}
        try:
            definition = load_pipeline(config, name)
        except PenstockError as error:
            entry["error"] = str(error)
        else:
            if isinstance(definition, PipelineDefinition):
                entry["description"] = definition.description
                entry["parameters"] = {
                    p.name: None if p.name in definition.required else p.default
                    for p in definition.parameters.values()
                }
        listed.append(entry)
    if as_json:
        echo_json(listed)
        return
    for entry in listed:
        secho(entry["name"], bold=True, nl=False)
        echo(f"  {entry.get('description') or entry['at']}")
        if "error" in entry:
            secho(f"    {entry['error']}", fg="red")
        for key, default in entry.get("parameters", {}).items():
            value = "must be given" if default is None else f"default {default!r}"
            echo(f"    -p {key}=…  {value}")


@click.command("compile")
@click.argument("pipeline", metavar="PIPELINE", type=PIPELINE)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="A file; else the screen.")
@profile_option
@click.pass_context
def compile_command(
    context: click.Context, pipeline: str, output: Path | None, profile_name: str | None
) -> None:
    """Write PIPELINE as another system takes it.

    With a profile that has a table `kubeflow` that is a specification for Kubeflow Pipelines
    (YAML), else TFX's intermediate representation (JSON).

    \b
    Example:
      penstock compile flights --profile cluster -o flights.yaml
    """
    config = project_config(context)
    profile = config.profile(profile_name)
    definition = load_pipeline(config, pipeline)
    if profile.kubeflow is not None:
        text, count = kubeflow_text(definition, profile, config.folder)
    else:
        text, count = _ir_text(definition, pipeline, profile)
    if output is None:
        echo_text(text)
    else:
        output.write_text(text, encoding="utf-8")
        echo(f"wrote {output} ({count})", err=True)


def kubeflow_text(definition: Any, profile: Profile, folder: Path) -> tuple[str, str]:
    """Return a pipeline's documents for Kubeflow Pipelines, and of how many tasks."""
    from penstock.runners.kubeflow.compile.compiling import compile_for_kubeflow

    compiled = compile_for_kubeflow(definition, profile, folder)
    for warning in compiled.warnings:
        secho(f"warning: {warning}", fg="yellow", err=True)
    return compiled.to_yaml(), f"{len(compiled.spec.deployment_spec['executors'])} tasks"


def _ir_text(definition: Any, pipeline: str, profile: Profile) -> tuple[str, str]:
    from google.protobuf import json_format

    from penstock import ir
    from penstock.operations.starting.preparing import pipeline_name

    compiled = ir.compile_pipeline(
        definition,
        pipeline_root=profile.root_of(pipeline_name(definition, pipeline)),
        beam_args=profile.beam_args,
    )
    text = json_format.MessageToJson(compiled, preserving_proto_field_name=True, sort_keys=True)
    return text + "\n", f"{len(compiled.nodes)} nodes"
