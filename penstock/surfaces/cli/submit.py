"""Starting a run on Kubeflow Pipelines."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from penstock.errors import DataError
from penstock.project.profiles import Profile
from penstock.safety import bounded, written_down
from penstock.surfaces.cli.completion import PIPELINE
from penstock.surfaces.cli.options import (
    RUN_FAILED,
    json_option,
    load_pipeline,
    parameter_option,
    profile_option,
    project_config,
)
from penstock.surfaces.cli.printing import echo, echo_json, secho
from penstock.surfaces.cli.service import image_option

if TYPE_CHECKING:
    from penstock.runners.kubeflow.contract.documents import Documents
    from penstock.runners.kubeflow.server.service import Service

_COMPILED = (".yaml", ".yml")
DEFAULT_EXPERIMENT = "Default"


def read_documents(context: click.Context, pipeline: str, profile: Profile) -> Documents:
    """Compile a pipeline for a profile, or read one that is compiled already.

    Raises:
      PenstockError: there is no such pipeline, or it cannot be compiled.
    """
    from penstock.runners.kubeflow.compile.compiling import refuse_limit
    from penstock.runners.kubeflow.contract import documents

    if pipeline.endswith(_COMPILED):
        try:
            text = bounded.read_text(pipeline, pipes=True)
        except OSError as error:
            raise DataError(f"it cannot be read: {error.strerror}", path=pipeline) from None
        compiled = documents.read(text, pipeline)
        refuse_limit(profile, compiled.name)
        return compiled
    from penstock.surfaces.cli.pipelines import kubeflow_text

    config = project_config(context)
    text, _ = kubeflow_text(load_pipeline(config, pipeline), profile, config.folder)
    return documents.read(text)


def run_parameters(documents: Documents, arguments: tuple[str, ...]) -> Mapping[str, Any]:
    """Return the values of a run's parameters; the profile's are the defaults of the documents.

    Raises:
      ParameterError: one is unknown, missing, or of another type.
    """
    from penstock.runners.kubeflow.contract.documents import check_parameters, parse_parameters

    values = parse_parameters(documents, arguments)
    check_parameters(documents, values)
    written_down.warn_of_parameters(values)
    return values


def experiment_of(service: Service, name: str | None, of_profile: str) -> str:
    """Return the id of the experiment that a run belongs to."""
    from penstock.runners.kubeflow.server.versions import experiment_id

    return experiment_id(service, name or of_profile or DEFAULT_EXPERIMENT)


@click.command()
@click.argument("pipeline", metavar="PIPELINE", type=PIPELINE)
@parameter_option
@profile_option
@image_option
@click.option("--wait", is_flag=True, help="Wait for its end, and show its nodes meanwhile.")
@click.option("--experiment", help="The experiment on the server; by default the profile's.")
@click.option("--run-name", help="What the run is called on the server.")
@click.option("--no-cache", is_flag=True, help="Run every node, whatever was made before.")
@click.option(
    "--submission",
    metavar="TOKEN",
    help="A name for this submission: asked for again, it finds its run and starts no other.",
)
@json_option
@click.pass_context
def submit(
    context: click.Context,
    pipeline: str,
    arguments: tuple[str, ...],
    profile_name: str | None,
    image: str | None,
    wait: bool,
    experiment: str | None,
    run_name: str | None,
    no_cache: bool,
    submission: str | None,
    as_json: bool,
) -> None:
    """Run PIPELINE on Kubeflow Pipelines: a name, file:function, or a compiled .yaml file.

    \b
    Examples:
      penstock submit flights --profile kubeflow --wait
      penstock submit flights -p train_steps=500 --submission "build-$BUILD_NUMBER"
    """
    from penstock.runners.kubeflow.server import submission as submitting
    from penstock.runners.kubeflow.server import versions
    from penstock.surfaces.cli import service as server

    profile, options = server.cluster_profile(context, profile_name)
    documents = read_documents(context, pipeline, profile.with_image(image))
    parameters = run_parameters(documents, arguments)
    service = server.connect(options)
    version = versions.upload(service, documents)
    token = submission or submitting.new_token()
    request = submitting.Request(
        source={"pipeline_spec": documents.without_cache()}
        if no_cache
        else {"pipeline_version_reference": version.reference()},
        parameters=parameters,
        experiment_id=experiment_of(service, experiment, options.experiment),
        name=run_name or f"{documents.name} {datetime.now():%Y-%m-%d %H-%M-%S}",
        service_account=options.service_account,
        pipeline_root=documents.pipeline_root,
    )
    if not as_json:
        state = "uploaded" if version.created else "was there already"
        echo(f"version    {version.name} of {documents.name} ({state})")
        # Before the run: who interrupts the command can ask for the same submission again.
        echo(f"submission {token}")
    done = submitting.submit(service, request, token)
    address = service.page_of("runs", done.run_id)
    if not as_json:
        echo(f"run        {done.run_id}{' (was started before)' if done.found else ''}")
        echo(f"page       {address}")
    for run_id in done.canceled:
        secho(
            f"The request had arrived more than once: run {run_id} was canceled.",
            fg="yellow",
            err=True,
        )
    if wait:
        _wait(context, service, done.run_id, as_json)
    elif as_json:
        content = {**vars(done), "version": version.name, "address": address}
        echo_json(content)
    else:
        echo(f"next       penstock status {done.run_id} --watch --profile {profile.name}")


def _wait(context: click.Context, service: Service, run_id: str, as_json: bool) -> None:
    from penstock.runners.kubeflow.server import operations
    from penstock.surfaces.cli import service as server

    status = operations.wait(service, run_id, server.change_printer())
    if as_json:
        echo_json(server.as_json(status))
    else:
        server.print_end(status)
    if not status.succeeded:
        context.exit(RUN_FAILED)
