"""Running pipelines: as a whole, in part, in thought, and on from where a run stood."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from penstock.errors import RunError
from penstock.surfaces.cli.alert_deliver import tell_of_run
from penstock.surfaces.cli.completion import NODE, PIPELINE, RUN
from penstock.surfaces.cli.options import (
    INTERRUPTED,
    RUN_FAILED,
    engine_args,
    engine_options,
    json_option,
    load_pipeline,
    open_store,
    parameter_option,
    profile_option,
    project_config,
)
from penstock.surfaces.cli.printing import echo_json, unread_output, unwritten_output

if TYPE_CHECKING:
    from penstock.execution.daemon.asking import Lender


def selection_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that choose which nodes run, and how they get their results."""
    for option in (
        click.option(
            "--no-accelerate",
            is_flag=True,
            help="Let TFX's own executors do the work of the nodes of a TFX pipeline.",
        ),
        click.option(
            "--base",
            metavar="RUN",
            type=RUN,
            help="Take what nodes that do not run have made from this run; else from the newest.",
        ),
        click.option("--no-cache", is_flag=True, help="Run every node, whatever was made before."),
        click.option(
            "--only", multiple=True, metavar="NODE", type=NODE, help="Only this node; repeatable."
        ),
        click.option(
            "--to", multiple=True, metavar="NODE", type=NODE, help="Up to this node; repeatable."
        ),
        click.option(
            "--from",
            "from_",
            multiple=True,
            metavar="NODE",
            type=NODE,
            help="From this node on; repeatable.",
        ),
    ):
        command = option(command)
    return command


daemon_option = click.option(
    "--no-daemon",
    is_flag=True,
    help="Let workers come of a new process, and start no daemon for the next run.",
)


def _lender(context: click.Context) -> Lender:
    from penstock.execution.daemon.asking import Lender

    return Lender(str(project_config(context).folder))


def _prepare(
    context: click.Context,
    pipeline: str,
    profile_name: str | None,
    arguments: tuple[str, ...] = (),
    parallelism: int | None = None,
    events: bool = True,
    accelerate: bool = True,
    engine: tuple[str, ...] = (),
    lender: Lender | None = None,
) -> Any:
    from penstock.execution.elapsed import seconds_of_process
    from penstock.operations.starting.preparing import prepare, split_arguments

    config = project_config(context)
    prepared = prepare(
        load_pipeline(config, pipeline),
        pipeline,
        config.profile(profile_name).with_engine(engine),
        split_arguments(arguments),
        parallelism=parallelism,
        events=events,
        accelerate=accelerate,
    )
    runner = replace(prepared.runner, definition_seconds=seconds_of_process(), daemon=lender)
    return replace(prepared, runner=runner)


def _finish(
    context: click.Context,
    result: Any,
    definition: str,
    profile_name: str | None,
    as_json: bool,
    lender: Lender | None,
) -> None:
    from penstock.runners.local import State
    from penstock.surfaces.cli.daemon import stand_by
    from penstock.surfaces.cli.summary import print_result

    # Of a file, the store alone does not say that it may be imported.
    registered = project_config(context).pipelines
    named = f" --pipeline {definition}" if definition not in registered else ""
    with unwritten_output():
        if as_json:
            echo_json(_result_as_json(result))
        else:
            print_result(result, f"penstock resume {result.run_id}{named}")
    if lender is not None and result.state is not State.CANCELED:
        stand_by(project_config(context), lender)
    tell_of_run(context, profile_name, result.run_id)
    if not result.succeeded:
        context.exit(INTERRUPTED if result.state is State.CANCELED else RUN_FAILED)


def _result_as_json(result: Any) -> dict[str, Any]:
    nodes = [
        {
            "node_id": node.node_id,
            "state": node.state.value,
            "seconds": node.seconds,
            "error": node.error,
            "item": node.item,
            "log": node.log_path,
            "outputs": {key: [a.uri for a in artifacts] for key, artifacts in node.outputs.items()},
        }
        for node in result.nodes.values()
    ]
    return {
        "run_id": result.run_id,
        "pipeline_name": result.pipeline_name,
        "state": result.state.value,
        "seconds": result.seconds,
        "parameters": dict(result.parameters),
        "nodes": nodes,
    }


@click.command()
@click.argument("pipeline", metavar="PIPELINE", type=PIPELINE)
@parameter_option
@profile_option
@click.option("--parallelism", type=click.IntRange(min=1), help="How many nodes work at a time.")
@selection_options
@engine_options
@daemon_option
@json_option
@click.pass_context
def run(
    context: click.Context,
    pipeline: str,
    arguments: tuple[str, ...],
    profile_name: str | None,
    parallelism: int | None,
    from_: tuple[str, ...],
    to: tuple[str, ...],
    only: tuple[str, ...],
    no_cache: bool,
    no_accelerate: bool,
    base: str | None,
    beam_args: tuple[str, ...],
    spark: str | None,
    ray: str | None,
    no_daemon: bool,
    as_json: bool,
) -> None:
    """Run PIPELINE: a name from penstock.toml, file:function, or a file or module with one.

    \b
    Examples:
      penstock run penguins
      penstock run flights -p train_steps=500 --profile nightly
      penstock run flights --from Trainer
    """
    lender = None if no_daemon else _lender(context)
    request = _prepare(
        context,
        pipeline,
        profile_name,
        arguments,
        parallelism,
        accelerate=not no_accelerate,
        engine=engine_args(beam_args, spark, ray),
        lender=lender,
    )
    result = request.runner.run(
        request.compiled,
        parameters=request.parameters,
        cache=not no_cache,
        from_nodes=from_,
        to_nodes=to,
        only=only,
        base_run=base,
        definition=pipeline,
        raise_on_failure=False,
    )
    _finish(context, result, pipeline, profile_name, as_json, lender)


@click.command()
@click.argument("run_id", metavar="[RUN]", default="latest", type=RUN)
@profile_option
@click.option("--parallelism", type=click.IntRange(min=1), help="How many nodes work at a time.")
@click.option(
    "--pipeline",
    type=PIPELINE,
    help="The pipeline, for a run that was not started by a name of penstock.toml.",
)
@engine_options
@daemon_option
@json_option
@click.pass_context
def resume(
    context: click.Context,
    run_id: str,
    profile_name: str | None,
    parallelism: int | None,
    pipeline: str | None,
    beam_args: tuple[str, ...],
    spark: str | None,
    ray: str | None,
    no_daemon: bool,
    as_json: bool,
) -> None:
    """Go on with a RUN that failed, was stopped or was killed; by default the newest.

    What its nodes have finished is kept. The others run with the run's own parameters, and with
    the code as it is now.

    \b
    Examples:
      penstock resume
      penstock resume 20261124-093012-a1b2c3
    """
    from penstock.metadata.run_requests import read_request
    from penstock.metadata.runs import find_run

    with open_store(context, profile_name) as metadata:
        run_id = find_run(metadata.store, run_id).run_id
        recorded = read_request(metadata.store, run_id).definition
    # A name of penstock.toml is taken from the store; what else is imported, the caller says.
    if not pipeline and recorded and recorded not in project_config(context).pipelines:
        raise RunError(
            f"run {run_id} was started as {recorded!r}, which is no name of penstock.toml, and "
            "code that only the store names is not imported",
            hint=f"Name it: penstock resume {run_id} --pipeline {recorded}.",
        )
    pipeline = pipeline or recorded
    if not pipeline:
        raise RunError(
            f"run {run_id} was started from Python, so it is not known where its pipeline is",
            hint=f"Name it: penstock resume {run_id} --pipeline FILE:FUNCTION.",
        )
    lender = None if no_daemon else _lender(context)
    request = _prepare(
        context,
        pipeline,
        profile_name,
        parallelism=parallelism,
        engine=engine_args(beam_args, spark, ray),
        lender=lender,
    )
    result = request.runner.resume(request.compiled, run_id, raise_on_failure=False)
    _finish(context, result, pipeline, profile_name, as_json, lender)


@click.command()
@click.argument("pipeline", metavar="PIPELINE", type=PIPELINE)
@parameter_option
@profile_option
@selection_options
@engine_options
@json_option
@click.pass_context
def plan(
    context: click.Context,
    pipeline: str,
    arguments: tuple[str, ...],
    profile_name: str | None,
    from_: tuple[str, ...],
    to: tuple[str, ...],
    only: tuple[str, ...],
    no_cache: bool,
    no_accelerate: bool,
    base: str | None,
    beam_args: tuple[str, ...],
    spark: str | None,
    ray: str | None,
    as_json: bool,
) -> None:
    """Say what a run of PIPELINE would do: which nodes would run, which are cached, and why.

    The exit code is 1 where a node would fail.

    \b
    Examples:
      penstock plan flights
      penstock plan flights -p train_steps=500 --json
    """
    from penstock.execution.plan import Verdict
    from penstock.surfaces.cli.summary import print_plan

    request = _prepare(
        context,
        pipeline,
        profile_name,
        arguments,
        events=False,
        accelerate=not no_accelerate,
        engine=engine_args(beam_args, spark, ray),
    )
    planned = request.runner.plan(
        request.compiled,
        parameters=request.parameters,
        cache=not no_cache,
        from_nodes=from_,
        to_nodes=to,
        only=only,
        base_run=base,
    )
    with unread_output():
        if as_json:
            echo_json([_node_as_json(node) for node in planned])
        else:
            print_plan(planned)
    if any(node.verdict is Verdict.FAILS for node in planned):
        context.exit(RUN_FAILED)


def _node_as_json(node: Any) -> dict[str, Any]:
    return {**vars(node), "verdict": node.verdict.value}
