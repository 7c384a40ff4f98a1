"""Deploying pipelines to environments, approving, going back, and what was done."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from penstock.errors import ConfigError, DataError, ParameterError, PenstockError, suggestion
from penstock.project.config import Config
from penstock.safety import bounded
from penstock.surfaces.cli.author import decision_options, who_option
from penstock.surfaces.cli.completion import PIPELINE
from penstock.surfaces.cli.options import RUN_FAILED, column, json_option, project_config
from penstock.surfaces.cli.printing import echo, echo_indented, echo_json, secho

if TYPE_CHECKING:
    from penstock.operations.delivery.deployment import Deploying
    from penstock.operations.delivery.records import Approval, Deployment
    from penstock.project.environments import Environment

_SHORT = 12
_COLORS = {"done": "green", "refused": "red", "failed": "red", "undone": "yellow"}


def _environment_option(command: Any) -> Any:
    return click.option("--env", "name", required=True, metavar="ENV", help="The environment.")(
        command
    )


@click.command()
@click.argument("pipelines", metavar="[PIPELINE]...", type=PIPELINE, nargs=-1)
@_environment_option
@click.option(
    "--plan",
    "plan_path",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="What `penstock ci plan --json` has written: a plan of other code is refused.",
)
@click.option(
    "--signature-change",
    default="",
    metavar="TEXT",
    help="That the model takes or gives other columns than before, and why that is right.",
)
@decision_options
@json_option
@click.pass_context
def deploy(
    context: click.Context,
    pipelines: tuple[str, ...],
    name: str,
    plan_path: Path | None,
    signature_change: str,
    who: str,
    why: str,
    as_json: bool,
) -> None:
    """Bring pipelines to an environment: build, run, judge, and promote where all gates hold.

    By default all pipelines of the environment. What it has already is left. The exit code is 1
    where a gate does not hold: then what serves is as it was. A deployment that was interrupted is
    gone on with by the same command, and brought to its end or undone by another one.

    \b
    Examples:
      penstock ci deploy --env staging
      penstock ci deploy --env production flights --why "new features"
    """
    from penstock.operations.delivery.deploying import deploy as deploy_one
    from penstock.operations.delivery.deployment import RefusedError

    config = project_config(context)
    deploying = _deploying(config, name)
    chosen = _chosen(config, deploying.environment, pipelines)
    wanted = list(_wanted(config, chosen, plan_path, who, why, signature_change))
    came: list[Deployment] = []
    refusals: list[RefusedError] = []
    try:
        for one in wanted:
            try:
                came.append(deploy_one(deploying, one))
            except RefusedError as error:
                refusals.append(error)
                came.append(error.deployment)
            if not as_json:
                # At once, since the next one may end this with an error.
                _print_deployment(came[-1])
    finally:
        if as_json:
            echo_json([_deployment_as_json(one) for one in came])
    for refusal in refusals:
        secho("error: ", fg="red", bold=True, nl=False, err=True)
        echo_indented(str(refusal), err=True)
    if refusals:
        context.exit(RUN_FAILED)


@click.command()
@click.argument("pipelines", metavar="[PIPELINE]...", type=PIPELINE, nargs=-1)
@_environment_option
@click.option(
    "--fingerprint",
    metavar="TEXT",
    help="What is approved, or its beginning as `ci history` shows it; by default the code "
    "as it is here.",
)
@who_option
@click.option("--why", required=True, metavar="TEXT", help="Why, for the record.")
@click.pass_context
def approve(
    context: click.Context,
    pipelines: tuple[str, ...],
    name: str,
    fingerprint: str | None,
    who: str,
    why: str,
) -> None:
    """Approve of pipelines as they are here, or of a fingerprint, for an environment.

    An approval is for one fingerprint alone: what is changed afterwards needs another.

    \b
    Example:
      penstock ci approve --env production flights --why "seen in staging"
    """
    from penstock.metadata.store import connect
    from penstock.operations.delivery import records
    from penstock.operations.delivery.planning import fingerprint_of

    config = project_config(context)
    deploying = _deploying(config, name)
    chosen = _chosen(config, deploying.environment, pipelines)
    if fingerprint and len(chosen) != 1:
        raise ParameterError("--fingerprint is one pipeline's: name that pipeline")
    commit = "" if fingerprint else _commit(config)
    with connect(deploying.connection) as metadata:
        for pipeline in chosen:
            approved = records.approve(
                metadata.store,
                name,
                pipeline,
                records.whole_fingerprint(metadata.store, pipeline, fingerprint)
                if fingerprint
                else fingerprint_of(config, pipeline),
                commit=commit,
                who=who,
                why=why,
            )
            echo(
                f"{pipeline} {approved.fingerprint[:_SHORT]} is approved for {name} by "
                f"{approved.who}"
            )


@click.command()
@click.argument("pipelines", metavar="[PIPELINE]...", type=PIPELINE, nargs=-1)
@_environment_option
@click.option("--to", type=click.IntRange(min=1), help="The deployment; by default the one before.")
@decision_options
@json_option
@click.pass_context
def rollback(
    context: click.Context,
    pipelines: tuple[str, ...],
    name: str,
    to: int | None,
    who: str,
    why: str,
    as_json: bool,
) -> None:
    """Bring back what an environment had before: pipeline version, schedule and alias together.

    \b
    Example:
      penstock ci rollback --env production flights --why "wrong at new airports"
    """
    from penstock.operations.delivery.deploying import roll_back

    config = project_config(context)
    deploying = _deploying(config, name)
    chosen = _chosen(config, deploying.environment, pipelines)
    if len(chosen) != 1:
        raise ParameterError(f"expected one pipeline to roll back, got {', '.join(chosen)}")
    done = roll_back(deploying, chosen[0], who=who, why=why, to=to)
    if as_json:
        echo_json(_deployment_as_json(done))
    else:
        _print_deployment(done)


@click.command()
@click.argument("pipelines", metavar="[PIPELINE]...", type=PIPELINE, nargs=-1)
@click.option("--env", "name", metavar="ENV", help="Only this environment.")
@click.option(
    "-n",
    "--most",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="How many, newest first.",
)
@json_option
@click.pass_context
def history(
    context: click.Context, pipelines: tuple[str, ...], name: str | None, most: int, as_json: bool
) -> None:
    """Show deployments, refusals, approvals and rollbacks, the newest first.

    \b
    Example:
      penstock ci history --env production
    """
    from penstock.operations.delivery.records import Deployment

    config = project_config(context)
    shown = [
        record
        for record in _records(config, name)
        if (not pipelines or record.pipeline in pipelines)
        and (name is None or record.environment == name)
    ][:most]
    if as_json:
        content = [
            _deployment_as_json(record)
            if isinstance(record, Deployment)
            else _approval_as_json(record)
            for record in shown
        ]
        echo_json(content)
    elif not shown:
        echo("nothing was deployed yet. Begin: penstock ci deploy --env ENV.")
    else:
        _print_history(shown)


def _deploying(config: Config, name: str) -> Deploying:
    from penstock.operations.delivery.deploying import environment_of
    from penstock.operations.delivery.deployment import Deploying
    from penstock.operations.delivery.planning import fingerprint_of
    from penstock.operations.starting import starter_of

    environment = environment_of(config, name)
    return Deploying(
        config,
        environment,
        starter_of(config),
        fingerprint_now=lambda pipeline: fingerprint_of(config, pipeline),
        tell=lambda text: echo(text, err=True),
    )


def _chosen(config: Config, environment: Environment, named: tuple[str, ...]) -> list[str]:
    there = environment.pipelines or tuple(sorted(config.pipelines))
    for name in named:
        if name not in there:
            raise ConfigError(
                f"environment {environment.name} has no pipeline {name!r}",
                path=str(config.path),
                hint=suggestion(name, there, noun="pipeline"),
            )
    return list(dict.fromkeys(named or there))


def _wanted(
    config: Config,
    pipelines: list[str],
    plan_path: Path | None,
    who: str,
    why: str,
    signature_change: str,
) -> Iterator[Any]:
    from penstock.operations.delivery.checks import read_checks
    from penstock.operations.delivery.deployment import Wanted
    from penstock.operations.delivery.planning import fingerprint_of

    planned = _planned(plan_path) if plan_path is not None else None
    commit = _commit(config)
    for pipeline in pipelines:
        fingerprint = fingerprint_of(config, pipeline)
        if planned is not None and planned.get(pipeline) != fingerprint:
            raise ParameterError(
                f"the plan is stale: it is of {pipeline} "
                f"{(planned.get(pipeline) or 'nothing')[:_SHORT]}, and the code here is "
                f"{fingerprint[:_SHORT]}",
                hint="Plan again: penstock ci plan --base REF --json.",
            )
        checked = read_checks(config.folder, fingerprint)
        obstacles = None if checked is None else tuple(checked.obstacles())
        yield Wanted(pipeline, fingerprint, commit, who, why, obstacles, signature_change)


def _planned(path: Path) -> Mapping[str, str]:
    try:
        content = bounded.parse_json(bounded.read_text(path, pipes=True))
        return {one["name"]: one["fingerprint"] for one in content["pipelines"]}
    except (ValueError, LookupError, TypeError, DataError) as error:
        raise ParameterError(
            f"{path} is no plan ({type(error).__name__}: {error})",
            hint="Write one: penstock ci plan --base REF --json > plan.json.",
        ) from None


def _commit(config: Config) -> str:
    """Return the commit of the code here, marked where something is not committed; "" for none."""
    from penstock.operations.delivery.repository import find_repository

    try:
        repository = find_repository(config.folder)
        return repository.head() + ("+" if repository.is_dirty(config.folder) else "")
    except PenstockError:
        return ""


def _records(config: Config, name: str | None) -> list[Deployment | Approval]:
    """Return the records of all environments, those of one store once."""
    from penstock.errors import StoreError
    from penstock.metadata.store import connect, connection_config
    from penstock.operations.delivery import records
    from penstock.operations.delivery.deploying import environment_of

    names = [name] if name is not None else list(config.environments)
    profiles = {environment_of(config, one).profile for one in names}
    addresses = {config.profile(one or None).metadata_address() for one in profiles}
    found: list[Deployment | Approval] = []
    for address in sorted(addresses):
        try:
            with connect(connection_config(address), create=False) as metadata:
                found += records.history(metadata.store)
        except StoreError:
            if len(addresses) == 1:
                raise
    return sorted(found, key=_when, reverse=True) if len(addresses) > 1 else found


def _when(record: Deployment | Approval) -> Any:
    return record.began if hasattr(record, "began") else record.at


def _print_deployment(one: Deployment) -> None:
    secho(one.state, fg=_COLORS.get(one.state), bold=True, nl=False)
    echo(f"  {one.kind} {one.number} of {one.pipeline} to {one.environment}")
    lines = {
        "fingerprint": one.fingerprint[:_SHORT]
        + (f" ({one.commit[:_SHORT]})" if one.commit else ""),
        "run": one.run_id,
        "model": f"{one.model}@{one.model_version}" if one.model_version is not None else "",
        "version": one.pipeline_version.get("name", ""),
        "image": one.image,
    }
    for title, text in lines.items():
        if text:
            echo(f"  {title:<12}{text}")


def _print_history(shown: list[Deployment | Approval]) -> None:
    from penstock.operations.delivery.records import Deployment
    from penstock.report.wording import when

    states = column(r.state if isinstance(r, Deployment) else "approved" for r in shown)
    kinds = column(f"{r.kind} {r.number}" if isinstance(r, Deployment) else "" for r in shown)
    places = column(f"{r.environment} {r.pipeline}" for r in shown)
    for record, state, kind, place in zip(shown, states, kinds, places, strict=True):
        echo(f"{when(_when(record))}  ", nl=False)
        secho(state, fg=_COLORS.get(state.strip()), nl=False)
        version = getattr(record, "model_version", None)
        model = f"  {record.model}@{version}" if version is not None else ""  # type: ignore[union-attr]  # only deployments have one
        why = record.why or getattr(record, "reason", "")
        echo(
            f"  {kind}  {place}  {record.fingerprint[:_SHORT]}{model}  by {record.who}"
            + (f": {why}" if why else "")
        )


def _deployment_as_json(one: Deployment) -> dict[str, Any]:
    return {**asdict(one), "began": one.began.isoformat()}


def _approval_as_json(one: Approval) -> dict[str, Any]:
    return {"kind": "approval", **asdict(one), "at": one.at.isoformat()}
