"""The commands. Each imports what it needs when it is called: help must not wait."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import click

from penstock import __version__
from penstock.config import Config, Profile, find_config, read_config
from penstock.errors import ParameterError, PenstockError, StoreError, suggestion

RUN_FAILED = 1
WRONG_REQUEST = 2
INTERRUPTED = 130


class _Commands(click.Group):
    """The group of commands; an unknown one is answered with the nearest."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            hint = suggestion(args[0], self.commands, noun="command")
            raise click.UsageError(f"There is no command {args[0]!r}. {hint}", ctx)
        return super().resolve_command(ctx, args)


def main() -> NoReturn:
    """Run the command line and exit: 0 it worked, 1 the run failed, 2 the request was wrong."""
    logging.getLogger("absl").setLevel(logging.CRITICAL)  # TFX reports through exceptions too
    try:
        code = penstock.main(standalone_mode=False)
    except click.Abort:
        sys.exit(INTERRUPTED)
    except click.ClickException as error:
        error.show()
        sys.exit(WRONG_REQUEST)
    except PenstockError as error:
        click.secho("error: ", fg="red", bold=True, nl=False, err=True)
        click.echo(str(error), err=True)
        sys.exit(WRONG_REQUEST)
    sys.exit(code or 0)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="penstock")
@click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path),
    help="The penstock.toml to use; by default that of this folder or the nearest above it.",
)
@click.pass_context
def penstock(context: click.Context, config_path: Path | None) -> None:
    """Component pipelines for TFX and Kubeflow users.

    \b
    Example:
      penstock run penguins
    """
    context.obj = lambda: read_config(config_path or find_config())


def _config(context: click.Context) -> Config:
    config: Config = context.obj()
    return config


def _profile_option(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option("--profile", "profile_name", help="The profile of penstock.toml to use.")(
        command
    )


def _json_option(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option("--json", "as_json", is_flag=True, help="Write JSON, for programs.")(
        command
    )


@penstock.command()
@click.argument("pipeline")
@click.option(
    "-p",
    "--parameter",
    "given",
    multiple=True,
    metavar="NAME=VALUE",
    help="A parameter of the pipeline; may be repeated.",
)
@_profile_option
@click.option("--parallelism", type=click.IntRange(min=1), help="How many nodes work at a time.")
@click.option("--no-cache", is_flag=True, help="Run every node, whatever earlier runs have made.")
@click.pass_context
def run(
    context: click.Context,
    pipeline: str,
    given: tuple[str, ...],
    profile_name: str | None,
    parallelism: int | None,
    no_cache: bool,
) -> None:
    """Run PIPELINE: a name from penstock.toml, or file:function.

    \b
    Examples:
      penstock run penguins
      penstock run flights -p train_steps=500 --profile nightly
    """
    from penstock import ir
    from penstock.cli.summary import print_result
    from penstock.runners.local import LocalRunner, State

    config = _config(context)
    profile = config.profile(profile_name)
    definition = config.load_pipeline(pipeline)
    name = _pipeline_name(definition, pipeline)
    root = profile.root_of(name)
    compiled = ir.compile_pipeline(definition, pipeline_root=root, beam_args=profile.beam_args)
    parameters = {
        **profile.parameters.get(name, {}),
        **_parse_parameters(name, given, ir.run_parameters(compiled)),
    }
    runner = LocalRunner(
        pipeline_root=root,
        metadata=_store_address(profile, compiled),
        parallelism=parallelism or profile.parallelism,
        beam_args=profile.beam_args,
    )
    result = runner.run(compiled, parameters=parameters, cache=not no_cache, raise_on_failure=False)
    print_result(result)
    if not result.succeeded:
        context.exit(INTERRUPTED if result.state is State.CANCELED else RUN_FAILED)


def _pipeline_name(definition: Any, asked: str) -> str:
    return str(getattr(definition, "name", None) or getattr(definition, "pipeline_name", asked))


def _store_address(profile: Profile, compiled: Any) -> str | None:
    """Return the profile's store; a TFX pipeline's own counts where the profile names none."""
    from penstock import ir

    if not profile.metadata and ir.metadata_connection(compiled) is not None:
        return None
    return profile.metadata_address()


def _parse_parameters(name: str, given: tuple[str, ...], known: dict[str, Any]) -> dict[str, Any]:
    """Turn NAME=VALUE into values of the types that the pipeline declares."""
    values: dict[str, Any] = {}
    for item in given:
        key, equals, text = item.partition("=")
        if not equals:
            raise ParameterError(f"expected NAME=VALUE after -p, got {item!r}")
        if key not in known:
            raise ParameterError(
                f"pipeline {name} has no parameter {key!r}",
                hint=suggestion(key, known, noun="parameter"),
            )
        values[key] = _parse_value(name, key, text, known[key].type)
    return values


def _parse_value(name: str, key: str, text: str, kind: type) -> Any:
    try:
        if kind is bool:
            return {"true": True, "false": False, "1": True, "0": False}[text.lower()]
        return kind(text)
    except (ValueError, KeyError):
        expected = "true or false" if kind is bool else kind.__name__
        raise ParameterError(
            f"pipeline {name}, parameter {key!r}: expected {expected}, got {text!r}"
        ) from None


@penstock.command("list")
@_json_option
@click.pass_context
def list_pipelines(context: click.Context, as_json: bool) -> None:
    """List the pipelines of this project and their parameters.

    \b
    Example:
      penstock list
    """
    from penstock.authoring.pipeline import PipelineDefinition

    config = _config(context)
    listed = []
    for name, target in sorted(config.pipelines.items()):
        entry: dict[str, Any] = {"name": name, "at": target}
        try:
            definition = config.load_pipeline(name)
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
        click.echo(json.dumps(listed, indent=2))
        return
    for entry in listed:
        click.secho(entry["name"], bold=True, nl=False)
        click.echo(f"  {entry.get('description') or entry['at']}")
        if "error" in entry:
            click.secho(f"    {entry['error']}", fg="red")
        for key, default in entry.get("parameters", {}).items():
            shown = "must be given" if default is None else f"default {default!r}"
            click.echo(f"    -p {key}=…  {shown}")


@penstock.command()
@click.option("--pipeline", "pipeline_name", help="Only the runs of this pipeline.")
@click.option("-n", "--most", default=20, show_default=True, help="How many, newest first.")
@_profile_option
@_json_option
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
    from penstock.cli.summary import print_runs
    from penstock.metadata.runs import list_runs

    with _open_store(context, profile_name) as metadata:
        found = list_runs(metadata.store, pipeline_name=pipeline_name, most=most)
    if as_json:
        click.echo(json.dumps([_as_json(record) for record in found], indent=2))
    else:
        print_runs(found)


@penstock.command()
@click.argument("run_id", metavar="RUN")
@_profile_option
@_json_option
@click.pass_context
def show(context: click.Context, run_id: str, profile_name: str | None, as_json: bool) -> None:
    """Show a RUN: its nodes, parameters and artifacts. `latest` is the newest.

    \b
    Example:
      penstock show latest
    """
    from penstock.cli.summary import print_run
    from penstock.metadata.runs import find_run, node_artifacts

    with _open_store(context, profile_name) as metadata:
        record = find_run(metadata.store, run_id)
        artifacts = {n.execution_id: node_artifacts(metadata.store, n) for n in record.nodes}
    if as_json:
        content = _as_json(record)
        for node in content["nodes"]:
            inputs, outputs = artifacts[node["execution_id"]]
            node["inputs"] = {key: [a.uri for a in found] for key, found in inputs.items()}
            node["outputs"] = {key: [a.uri for a in found] for key, found in outputs.items()}
        click.echo(json.dumps(content, indent=2))
    else:
        print_run(record, {key: outputs for key, (_, outputs) in artifacts.items()})


@penstock.command("compile")
@click.argument("pipeline")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="A file; else the screen.")
@_profile_option
@click.pass_context
def compile_command(
    context: click.Context, pipeline: str, output: Path | None, profile_name: str | None
) -> None:
    """Write the intermediate representation (TFX's IR, as JSON) of PIPELINE.

    \b
    Example:
      penstock compile flights -o flights.json
    """
    from google.protobuf import json_format

    from penstock import ir

    config = _config(context)
    profile = config.profile(profile_name)
    definition = config.load_pipeline(pipeline)
    compiled = ir.compile_pipeline(
        definition,
        pipeline_root=profile.root_of(_pipeline_name(definition, pipeline)),
        beam_args=profile.beam_args,
    )
    text = json_format.MessageToJson(compiled, preserving_proto_field_name=True, sort_keys=True)
    if output is None:
        click.echo(text)
    else:
        output.write_text(text + "\n", encoding="utf-8")
        click.echo(f"wrote {output} ({len(ir.nodes(compiled))} nodes)", err=True)


def _open_store(context: click.Context, profile_name: str | None) -> Any:
    from penstock.metadata.store import connect, connection_config

    address = _config(context).profile(profile_name).metadata_address()
    config = connection_config(address)
    path = config.sqlite.filename_uri
    if path and not os.path.exists(path):
        raise StoreError(
            f"there is no metadata store at {path}",
            hint="It is made by the first run: penstock run PIPELINE.",
        )
    return connect(config)


def _as_json(record: Any) -> dict[str, Any]:
    content = json.loads(json.dumps(record, default=_plain))
    content["seconds"] = record.seconds
    return content


def _plain(value: Any) -> Any:
    return value.isoformat() if hasattr(value, "isoformat") else vars(value)
