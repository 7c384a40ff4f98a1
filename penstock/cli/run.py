"""Running pipelines."""

from __future__ import annotations

import click

from penstock.cli.options import (
    INTERRUPTED,
    RUN_FAILED,
    parameter_option,
    parse_parameters,
    pipeline_name,
    profile_option,
    project_config,
    store_address,
)


@click.command()
@click.argument("pipeline")
@parameter_option
@profile_option
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

    config = project_config(context)
    profile = config.profile(profile_name)
    definition = config.load_pipeline(pipeline)
    name = pipeline_name(definition, pipeline)
    root = profile.root_of(name)
    compiled = ir.compile_pipeline(definition, pipeline_root=root, beam_args=profile.beam_args)
    parameters = {
        **profile.parameters.get(name, {}),
        **parse_parameters(name, given, ir.run_parameters(compiled)),
    }
    runner = LocalRunner(
        pipeline_root=root,
        metadata=store_address(profile, compiled),
        parallelism=parallelism or profile.parallelism,
        beam_args=profile.beam_args,
    )
    result = runner.run(compiled, parameters=parameters, cache=not no_cache, raise_on_failure=False)
    print_result(result)
    if not result.succeeded:
        context.exit(INTERRUPTED if result.state is State.CANCELED else RUN_FAILED)
