"""Bringing a server of Kubeflow Pipelines to what penstock.toml declares."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from penstock.errors import ParameterError
from penstock.project.config import Config
from penstock.project.kubeflow import ClusterSchedule, KubeflowOptions
from penstock.project.profiles import Profile
from penstock.surfaces.cli.options import column, json_option, profile_option, project_config
from penstock.surfaces.cli.printing import echo, echo_json, secho
from penstock.surfaces.cli.service import image_option

if TYPE_CHECKING:
    from penstock.runners.kubeflow.contract.documents import Documents
    from penstock.runners.kubeflow.server.applying import Change, Declared, DeclaredSchedule

_MARKS = {
    "created": ("+", "green"),
    "changed": ("~", "yellow"),
    "removed": ("-", "red"),
    "unchanged": (" ", None),
}


@click.command()
@profile_option
@image_option
@click.option("--dry-run", is_flag=True, help="Show what would change, and change nothing.")
@click.option("--yes", is_flag=True, help="Do not ask before something is changed.")
@json_option
@click.pass_context
def apply(
    context: click.Context,
    profile_name: str | None,
    image: str | None,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Bring Kubeflow Pipelines to the experiments, versions and schedules of a profile.

    What would change is shown first. Schedules that this project has applied under the profile and
    does not declare any more are removed; those of others are left alone.

    \b
    Examples:
      penstock apply --profile kubeflow --dry-run
      penstock apply --profile kubeflow --yes
    """
    from penstock.runners.kubeflow.server import applying
    from penstock.surfaces.cli import service as server

    profile, options = server.cluster_profile(context, profile_name)
    config = project_config(context)
    declared = _declared(context, config, profile.with_image(image), options)
    service = server.connect(options)
    changes = applying.plan(service, declared)
    differs = any(change.change != applying.UNCHANGED for change in changes)
    if dry_run or not differs:
        _show(changes, as_json)
        return
    if not yes:
        _show(changes, as_json=False, err=as_json)
        click.confirm("Do that?", abort=True, err=True)
    if as_json:
        echo_json([vars(change) for change in applying.carry_out(service, declared)])
        return
    for change in applying.carry_out(service, declared):
        if change.change != applying.UNCHANGED:
            _show([change], as_json=False)


def _declared(
    context: click.Context, config: Config, profile: Profile, options: KubeflowOptions
) -> Declared:
    """Return what a profile declares, its pipelines compiled, each once."""
    from penstock.runners.kubeflow.server.applying import Declared
    from penstock.surfaces.cli.submit import DEFAULT_EXPERIMENT, read_documents

    names = dict.fromkeys([*options.versions, *(s.pipeline for s in options.schedules.values())])
    compiled = {name: read_documents(context, name, profile) for name in names}
    experiment = options.experiment or DEFAULT_EXPERIMENT
    return Declared(
        owner=f"{options.project or config.folder.resolve().name}/{profile.name}",
        experiments=options.experiments,
        pipelines=tuple(compiled[name] for name in options.versions),
        schedules=tuple(
            _schedule(name, schedule, compiled[schedule.pipeline], experiment)
            for name, schedule in sorted(options.schedules.items())
        ),
        service_account=options.service_account,
    )


def _schedule(
    name: str, schedule: ClusterSchedule, documents: Documents, experiment: str
) -> DeclaredSchedule:
    from penstock.runners.kubeflow.contract.documents import typed_values
    from penstock.runners.kubeflow.server.applying import DeclaredSchedule
    from penstock.surfaces.cli.schedule import parse_timing

    try:
        parameters = typed_values(documents, schedule.parameters)
    except ParameterError as error:
        raise ParameterError(f"the schedule {name}: {error.message}", hint=error.hint) from None
    return DeclaredSchedule(
        name=name,
        documents=documents,
        timing=parse_timing(schedule.cron or None, schedule.every or None, None, None),
        experiment=schedule.experiment or experiment,
        parameters=parameters,
        catch_up=schedule.catch_up,
        concurrency=schedule.concurrency,
        enabled=schedule.enabled,
    )


def _show(changes: list[Change], as_json: bool, *, err: bool = False) -> None:
    if as_json:
        echo_json([vars(change) for change in changes])
        return
    names = column(f"{change.kind} {change.name}" for change in changes)
    for change, name in zip(changes, names, strict=True):
        mark, color = _MARKS[change.change]
        secho(f"{mark} {name}  {change.change:<9}", fg=color, nl=False, err=err)
        echo(f"  {change.detail}".rstrip(), err=err)
