"""New versions of models come to serve: by a shadow, a canary, and gates, or back again."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from penstock.errors import ParameterError, RunError
from penstock.surfaces.cli.author import decision_options, who_option
from penstock.surfaces.cli.completion import DEPLOYMENT, ENVIRONMENT
from penstock.surfaces.cli.options import (
    RUN_FAILED,
    column,
    json_option,
    open_store,
    project_config,
)
from penstock.surfaces.cli.printing import echo, echo_json, secho, unread_output

if TYPE_CHECKING:
    from penstock.operations.releases.controlling import Controller, Look
    from penstock.operations.releases.records import Release, Step
    from penstock.operations.releases.stages import Plan
    from penstock.project.deployments import Deployment, ReleaseOptions

_COLORS = {
    "promoted": "green",
    "brought back": "green",
    "rolled back": "red",
    "failed": "red",
    "interrupted": "red",
    "aborted": "yellow",
}
_NAME = click.argument("name", metavar="NAME", type=DEPLOYMENT)


def _env_option(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--env",
        "environment",
        default="",
        metavar="NAME",
        type=ENVIRONMENT,
        help="The environment it serves in.",
    )(command)


def _every_option(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--every",
        default="10s",
        show_default=True,
        metavar="INTERVAL",
        help="How often evidence is looked at, as 30s or 5m.",
    )(command)


def _detach_option(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--detach", is_flag=True, help="Only record it; penstock release watch does the rest."
    )(command)


@click.group()
def release() -> None:
    """Let a new version of a model serve in stages, with gates, and back on an alarm.

    NAME is a deployment of penstock.toml, or a model that serves in one place.

    \b
    Examples:
      penstock release start flights@challenger --env production --shadow 100% --for 1h
      penstock release status flights
    """


@release.command()
@click.argument("reference", metavar="NAME@VERSION")
@_env_option
@click.option("--shadow", metavar="PERCENT", help="The share of requests copied to a shadow.")
@click.option("--for", "shadow_for", metavar="INTERVAL", help="How long the shadow lasts, as 1h.")
@click.option("--canary", metavar="PERCENT,...", help="The shares of a canary, as 5,25,50.")
@click.option("--bake", metavar="INTERVAL", help="How long each share lasts, as 30m.")
@click.option(
    "--key",
    metavar="header:NAME|column:NAME",
    help="What makes a caller; they stay where they are.",
)
@click.option(
    "--detach", is_flag=True, help="Only record it; penstock release watch does the rest."
)
@_every_option
@decision_options
@click.pass_context
def start(
    context: click.Context,
    reference: str,
    environment: str,
    shadow: str | None,
    shadow_for: str | None,
    canary: str | None,
    bake: str | None,
    key: str | None,
    detach: bool,
    every: str,
    who: str,
    why: str,
) -> None:
    """Begin a release of a version, and carry it out; Ctrl-C leaves it to the next watch.

    Without stages those of the deployment in penstock.toml are taken. The exit code is 1 where the
    version was not promoted.

    \b
    Examples:
      penstock release start flights@challenger --env production --shadow 100% --for 1h
      penstock release start flights@4 --canary 5,25,50 --bake 30m --why "sees weekends"
    """
    from penstock.operations.releases import beginning
    from penstock.operations.releases.targets.choosing import target_of

    name, at, version = reference.partition("@")
    if not (name and at and version):
        raise ParameterError(f"expected NAME@NUMBER or NAME@ALIAS, got {reference!r}")
    config = project_config(context)
    deployment = beginning.deployment_of(config, name, environment)
    plan = _plan(deployment.release, shadow, shadow_for, canary, bake, key)
    where = beginning.environment_of(config, deployment)
    with open_store(context, where.profile or None) as metadata:
        begun = beginning.start(
            metadata.store,
            deployment,
            where,
            target_of(deployment),
            version,
            plan,
            who=who,
            why=why,
        )
    stages = ", ".join(stage.name for stage in begun.plan.stages) or "at once"
    echo(f"release {begun.number} of {deployment.name}: {_version(begun)} by {stages}")
    if detach:
        echo(f"carry it out: penstock release watch {deployment.name}")
        return
    _carry_out(context, deployment, every, who)


@release.command()
@_NAME
@_env_option
@_every_option
@who_option
@click.pass_context
def watch(context: click.Context, name: str, environment: str, every: str, who: str) -> None:
    """Carry a release out to its end, from where whoever did so before has left it.

    One process at a time does. The exit code is 1 where the version was not promoted.

    \b
    Example:
      penstock release watch flights
    """
    deployment = _deployment(context, name, environment)
    _carry_out(context, deployment, every, who)


@release.command()
@_NAME
@_env_option
@json_option
@click.pass_context
def status(context: click.Context, name: str, environment: str, as_json: bool) -> None:
    """Show how the last release stands, and what it has done.

    \b
    Example:
      penstock release status flights
    """
    deployment = _deployment(context, name, environment)
    found = _last(context, deployment)
    if as_json:
        echo_json(_as_json(found))
        return
    _print_release(found)
    for step in found.steps:
        _print_step(step)


@release.command()
@click.argument("name", metavar="[NAME]", default="", type=DEPLOYMENT)
@_env_option
@json_option
@click.pass_context
def history(context: click.Context, name: str, environment: str, as_json: bool) -> None:
    """List releases and rollbacks, the newest first: who, why, and how they ended.

    \b
    Example:
      penstock release history flights
    """
    from penstock.operations.releases import beginning, records

    config = project_config(context)
    deployments = (
        [beginning.deployment_of(config, name, environment)]
        if name
        else [d for d in config.deployments.values() if environment in ("", d.environment)]
    )
    found: list[Release] = []
    for deployment in deployments:
        where = beginning.environment_of(config, deployment)
        with open_store(context, where.profile or None) as metadata:
            found += records.releases(metadata.store, deployment.name)
    found.sort(key=lambda one: one.began, reverse=True)
    with unread_output():
        if as_json:
            echo_json([_as_json(one) for one in found])
            return
        if not found:
            echo("nothing was released yet")
        for one, title in zip(found, column(one.deployment for one in found), strict=True):
            echo(f"{title}  ", nl=False)
            _print_release(one)


def _asking(kind: str, text: str, example: str) -> click.Command:
    @click.command(kind, help=f"{text}\n\n\b\nExample:\n  penstock release {example}")
    @_NAME
    @_env_option
    @decision_options
    @click.pass_context
    def asked(context: click.Context, name: str, environment: str, who: str, why: str) -> None:
        from penstock.operations.releases import beginning

        deployment = _deployment(context, name, environment)
        with _store(context, deployment) as metadata:
            found = beginning.ask(metadata.store, deployment, kind, who=who, why=why)
        echo(
            f"{kind} of release {found.number} of {deployment.name} is recorded; whoever watches "
            "it does so at the next look"
        )

    return asked


for _kind, _text, _example in (
    (
        "pause",
        "Let a release stay in its stage; an alarm still brings back what served before.",
        "pause flights --why 'a holiday'",
    ),
    ("resume", "Let a release that was paused go on.", "resume flights"),
    (
        "promote",
        "Let the new version serve everybody now, without the stages that are left, unless there "
        "is an alarm.",
        "promote flights --why 'the shadow did well'",
    ),
    ("abort", "End a release, and keep what served before.", "abort flights --why 'wrong data'"),
):
    release.add_command(_asking(_kind, _text, _example))


@click.command()
@_NAME
@_env_option
@click.option(
    "--detach", is_flag=True, help="Only record it; penstock release watch does the rest."
)
@decision_options
@click.pass_context
def rollback(
    context: click.Context, name: str, environment: str, detach: bool, who: str, why: str
) -> None:
    """Let the version serve again that served before, and the alias stand for it.

    A release that is under way is ended.

    \b
    Example:
      penstock rollback flights --why "complaints about weekends"
    """
    from penstock.operations.releases import beginning

    config = project_config(context)
    deployment = beginning.deployment_of(config, name, environment)
    where = beginning.environment_of(config, deployment)
    with open_store(context, where.profile or None) as metadata:
        begun = beginning.roll_back(metadata.store, deployment, where, who=who, why=why)
    if begun.kind == "rollback":
        echo(f"release {begun.number} of {deployment.name}: back to {_version(begun)}")
    else:
        echo(f"release {begun.number} of {deployment.name} is to be ended")
    if detach:
        echo(f"carry it out: penstock release watch {deployment.name}")
        return
    _carry_out(context, deployment, "1s", who, wanted=("brought back", "aborted"))


def _carry_out(
    context: click.Context,
    deployment: Deployment,
    every: str,
    who: str,
    wanted: tuple[str, ...] = ("promoted", "brought back"),
) -> None:
    """Carry a release out, or wait for its end where another process does."""
    from penstock.metadata.turns import Held
    from penstock.operations.alarm import Alarm, ended_by_signals
    from penstock.operations.releases import controlling
    from penstock.project.intervals import parse_interval

    seconds, alarm = parse_interval(every), Alarm()
    controller = _controller(context, deployment, who)
    with ended_by_signals(alarm):
        try:
            ended = controlling.watch(controller, alarm, seconds, _teller())
        except Held as error:
            if "aborted" not in wanted:
                raise
            echo(f"{error.message}, and does so", err=True)
            ended = _until_over(context, deployment, alarm)
    if not ended.is_over:
        echo(f"go on with it: penstock release watch {deployment.name}", err=True)
        context.exit(RUN_FAILED)
    if ended.state not in wanted:
        context.exit(RUN_FAILED)


def _until_over(context: click.Context, deployment: Deployment, alarm: Any) -> Release:
    """Wait until whoever carries a release out has come to its end."""
    until = time.monotonic() + 600
    while True:
        found = _last(context, deployment)
        if found.is_over or alarm.ending:
            _print_release(found)
            return found
        if time.monotonic() > until:
            raise RunError(
                "the process that has the release in hand has not ended it within 10 minutes",
                hint=f"penstock release status {deployment.name} shows how it stands.",
            )
        alarm.sleep(1)


def _teller() -> Callable[[Look], None]:
    """Return what prints what was done, and what is waited for only when it is something else."""
    said: list[str] = []

    def tell(looked: Look) -> None:
        for step in looked.written:
            if step.state != "intended":
                _print_step(step)
        waits_for = "" if looked.release.is_over else looked.waits_for
        text = f"{looked.release.status}: it waits for {waits_for}" if waits_for else ""
        # How much longer it waits is no news.
        kind = re.sub(r"[\d.]+ ?(s|min|h|d)?\b", "", text)
        if text and said[-1:] != [kind]:
            echo(text, err=True)
        said[:] = [kind]
        if looked.release.is_over:
            _print_release(looked.release)

    return tell


def _controller(context: click.Context, deployment: Deployment, who: str) -> Controller:
    from penstock.metadata.store import connection_config
    from penstock.operations.releases import beginning
    from penstock.operations.releases.controlling import Controller
    from penstock.operations.releases.targets.choosing import target_of

    config = project_config(context)
    where = beginning.environment_of(config, deployment)
    profile = config.profile(where.profile or None)
    return Controller(
        deployment,
        target_of(deployment),
        connection_config(profile.metadata_address()),
        config.folder,
        profile.pipeline_root,
        who,
    )


def _deployment(context: click.Context, name: str, environment: str) -> Deployment:
    from penstock.operations.releases import beginning

    return beginning.deployment_of(project_config(context), name, environment)


def _store(context: click.Context, deployment: Deployment) -> Any:
    from penstock.operations.releases import beginning

    where = beginning.environment_of(project_config(context), deployment)
    return open_store(context, where.profile or None)


def _last(context: click.Context, deployment: Deployment) -> Release:
    from penstock.operations.releases import records

    with _store(context, deployment) as metadata:
        found = records.last_release(metadata.store, deployment.name)
    if found is None:
        raise RunError(
            f"nothing was released at {deployment.name} yet",
            hint=f"Start with: penstock release start {deployment.model}@challenger.",
        )
    return found


def _plan(
    options: ReleaseOptions,
    shadow: str | None,
    shadow_for: str | None,
    canary: str | None,
    bake: str | None,
    key: str | None,
) -> Plan:
    """Return the stages that are asked for; of none at all those of penstock.toml."""
    from penstock.operations.releases.stages import plan_of
    from penstock.project.deployments import check_shares, parse_percent
    from penstock.project.intervals import parse_interval

    if shadow_for and shadow is None and not options.shadow:
        raise ParameterError("--for is how long a shadow lasts, and there is none: give --shadow")
    if bake and canary is None and not options.canary:
        raise ParameterError("--bake is how long a canary bakes, and there is none: give --canary")
    if key is not None:
        options = replace(options, key=key)
    asked = shadow is not None or canary is not None
    percent = parse_percent(shadow) if shadow else 0.0 if asked else options.shadow_percent
    shares = _shares(canary) if canary else () if asked else options.canary
    return plan_of(
        percent,
        parse_interval(shadow_for) if shadow_for else options.hours * 3600,
        check_shares(shares),
        parse_interval(bake) if bake else options.bake_minutes * 60,
        key=options.key,
        give_up_seconds=options.give_up_hours * 3600,
    )


def _shares(text: str) -> tuple[float, ...]:
    from penstock.project.deployments import parse_percent

    return tuple(parse_percent(part) for part in text.split(","))


def _version(found: Release) -> str:
    return f"{found.model}@{found.candidate}"


def _print_release(found: Release) -> None:
    title = f"{found.began.astimezone():%Y-%m-%d %H:%M:%S}  {found.kind} {found.number}"
    echo(f"{title}  {_version(found)}  ", nl=False)
    secho(found.status, fg=_COLORS.get(found.state, "cyan"), nl=False)
    echo(f"  {found.who}{f': {found.why}' if found.why else ''}")
    if found.reason and found.state != "promoted":
        echo(f"    {found.reason}")


def _print_step(step: Step) -> None:
    echo(f"    {step.recorded:%H:%M:%S}  {_told(step)}  {step.who}: {step.why}")
    for gate in step.intent.get("gates", ()):
        color = {"holds": "green", "alarm": "red"}.get(gate["state"], "yellow")
        echo("              ", nl=False)
        secho(f"{gate['state']:<9}", fg=color, nl=False)
        echo(f"  {gate['gate']}: {gate['reason']}")
    if reason := step.outcome.get("reason"):
        secho(f"              {reason}", fg="red")


def _told(step: Step) -> str:
    """Return what a step does, and whether it is done."""
    what = step.kind
    if step.routes is not None:
        shares = [
            f"{role} {share.version} {share.percent:g}%"
            for role, share in (("canary", step.routes.canary), ("shadow", step.routes.shadow))
            if share is not None
        ]
        what = ", ".join([f"{step.routes.production} serves", *shares])
    elif "version" in step.intent:
        what = f"{step.kind} {step.intent.get('alias', '')} {step.intent['version']}"
    elif "uri" in step.outcome:
        what = f"report {step.outcome['uri']}"
    return what if step.is_done else f"{what} ({step.state})"


def _as_json(found: Release) -> dict[str, Any]:
    return {
        "deployment": found.deployment,
        "number": found.number,
        "kind": found.kind,
        "model": found.model,
        "candidate": found.candidate,
        "production": found.production,
        "status": found.status,
        "state": found.state or None,
        "reason": found.reason or None,
        "who": found.who,
        "why": found.why,
        "began": found.began.astimezone().isoformat(),
        "ended": found.ended.isoformat() if found.ended else None,
        "stages": [stage.name for stage in found.plan.stages],
        "steps": [
            {
                "number": step.number,
                "kind": step.kind,
                "state": step.state,
                "who": step.who,
                "why": step.why,
                "recorded": step.recorded.astimezone().isoformat(),
                **{key: step.intent[key] for key in ("routes", "gates") if key in step.intent},
                "outcome": dict(step.outcome),
            }
            for step in found.steps
        ],
    }
