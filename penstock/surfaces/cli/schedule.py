"""Schedules on Kubeflow Pipelines."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from penstock.errors import ParameterError
from penstock.surfaces.cli.completion import PIPELINE
from penstock.surfaces.cli.options import column, json_option, parameter_option, profile_option
from penstock.surfaces.cli.printing import echo, echo_json, secho
from penstock.surfaces.cli.service import image_option

if TYPE_CHECKING:
    from penstock.runners.kubeflow.server.schedules import Scheduled, Timing
    from penstock.runners.kubeflow.server.service import Service

_SHOWN_TIMES = 3


@click.command()
@click.argument("pipeline", metavar="[PIPELINE]", type=PIPELINE, required=False)
@click.option("--cron", help="Five fields, or six that begin with seconds; in UTC.")
@click.option("--every", metavar="TIME", help="An interval, as 30m, 6h, 1d or 1d12h.")
@parameter_option
@profile_option
@image_option
@click.option("--name", help="What the schedule is called; by default as the pipeline.")
@click.option("--start", metavar="TIME", help="Not before this time, as 2026-05-01T06:00Z.")
@click.option("--end", metavar="TIME", help="Not after this time.")
@click.option(
    "--catch-up/--no-catch-up",
    default=False,
    show_default=True,
    help="Make up for all times that were missed, and not only for the last one.",
)
@click.option(
    "--concurrency",
    type=click.IntRange(1, 10),
    default=1,
    show_default=True,
    help="How many of its runs there may be at a time.",
)
@click.option("--experiment", help="The experiment on the server; by default the profile's.")
@click.option("--list", "list_all", is_flag=True, help="List the schedules.")
@click.option("--enable", metavar="NAME", help="Enable a schedule.")
@click.option("--disable", metavar="NAME", help="Disable a schedule; what runs goes on.")
@click.option("--delete", metavar="NAME", help="Remove a schedule.")
@json_option
@click.pass_context
def schedule(
    context: click.Context,
    pipeline: str | None,
    cron: str | None,
    every: str | None,
    arguments: tuple[str, ...],
    profile_name: str | None,
    image: str | None,
    name: str | None,
    start: str | None,
    end: str | None,
    catch_up: bool,
    concurrency: int,
    experiment: str | None,
    list_all: bool,
    enable: str | None,
    disable: str | None,
    delete: str | None,
    as_json: bool,
) -> None:
    """Let Kubeflow Pipelines run PIPELINE again and again.

    The same again changes nothing; a pipeline that has changed takes the place of its old version.

    \b
    Examples:
      penstock schedule flights --cron "0 6 * * 1-5"
      penstock schedule flights --every 6h -p train_steps=500
      penstock schedule --disable flights
    """
    from penstock.surfaces.cli import service as server

    actions = {"pipeline": pipeline, "list": list_all, "enable": enable}
    chosen = [
        what for what, value in {**actions, "disable": disable, "delete": delete}.items() if value
    ]
    if len(chosen) != 1:
        raise click.UsageError(
            "Expected one of PIPELINE, --list, --enable, --disable and --delete.", context
        )
    profile, options = server.cluster_profile(context, profile_name)
    service = server.connect(options)
    if pipeline is None:
        _manage(service, enable, disable, delete, as_json)
        return
    from penstock.runners.kubeflow.server import schedules, versions
    from penstock.surfaces.cli.submit import experiment_of, read_documents, run_parameters

    timing = parse_timing(cron, every, start, end)
    documents = read_documents(context, pipeline, profile.with_image(image))
    parameters = run_parameters(documents, arguments)
    version = versions.upload(service, documents)
    wanted = schedules.Schedule(
        name=name or documents.name,
        version=version,
        timing=timing,
        parameters=parameters,
        experiment_id=experiment_of(service, experiment, options.experiment),
        catch_up=catch_up,
        concurrency=concurrency,
        service_account=options.service_account,
        pipeline_root=documents.pipeline_root,
    )
    done = schedules.apply(service, wanted)
    _print_scheduled(service, wanted, done, as_json)


def _manage(
    service: Service, enable: str | None, disable: str | None, delete: str | None, as_json: bool
) -> None:
    from penstock.runners.kubeflow.server import schedules

    if enable:
        schedules.enable(service, enable)
        _print_change("enabled", enable, as_json)
    elif disable:
        schedules.disable(service, disable)
        _print_change("disabled", disable, as_json)
    elif delete:
        _print_left(schedules.delete(service, delete))
        _print_change("removed", delete, as_json)
    else:
        _print_list(schedules.find_all(service), as_json)


def _print_change(change: str, name: str, as_json: bool) -> None:
    if as_json:
        echo_json({"schedule": name, "change": change})
    else:
        echo(f"{change:<10} {name}")


def parse_timing(line: str | None, every: str | None, start: str | None, end: str | None) -> Timing:
    """Return when runs are to start.

    Raises:
      ParameterError: there is not one of cron and interval, or one of the texts is no time.
    """
    from penstock.project import cron
    from penstock.project.intervals import parse_interval
    from penstock.runners.kubeflow.server.schedules import Timing

    if (line is None) == (every is None):
        raise ParameterError(
            "expected either --cron or --every",
            hint='As --cron "0 6 * * *", every day at six, or --every 6h.',
        )
    begins, ends = parse_time(start), parse_time(end)
    if begins and ends and ends <= begins:
        raise ParameterError(f"--end {end} is not after --start {start}")
    return Timing(
        cron=cron.parse(line).text if line else "",
        seconds=parse_interval(every) if every else 0,
        start=begins,
        end=ends,
    )


def parse_time(text: str | None) -> datetime | None:
    """Return a time; in UTC where its text has no zone."""
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ParameterError(
            f"expected a time as 2026-05-01 or 2026-05-01T06:00Z, got {text!r}"
        ) from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _print_scheduled(service: Service, wanted: Any, done: Scheduled, as_json: bool) -> None:
    address = service.page_of("recurringrun", done.recurring_run_id)
    if as_json:
        content = {**vars(done), "version": wanted.version.name, "address": address}
        echo_json(content)
        return
    echo(f"schedule   {wanted.name} ({_CHANGES[done.change]})")
    echo(f"version    {wanted.version.name}")
    echo(f"page       {address}")
    for at in _next_times(wanted.timing):
        echo(f"next       {at:%Y-%m-%d %H:%M:%S} UTC")
    _print_left(done.left)


_CHANGES = {
    "created": "new",
    "moved": "takes the place of what was scheduled before",
    "enabled": "was there already, and is enabled now",
    "disabled": "was there already, and is disabled now",
    "unchanged": "as it was",
}


def _print_left(left: tuple[str, ...]) -> None:
    for recurring_run_id in left:
        echo(
            f"Recurring run {recurring_run_id} has a run in progress: it is disabled, and will be "
            "removed with the next change.",
            err=True,
        )


def _next_times(timing: Timing) -> list[datetime]:
    from penstock.project import cron

    if not timing.cron:
        return []
    line = cron.parse(timing.cron)
    now = datetime.now(UTC)
    times: list[datetime] = []
    at = line.next(max(now, timing.start or now))
    while at is not None and len(times) < _SHOWN_TIMES and at <= (timing.end or at):
        times.append(at)
        at = line.next(at)
    return times


def _print_list(recurring_runs: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        echo_json(recurring_runs)
        return
    names = column(one["display_name"] for one in recurring_runs)
    for one, name in zip(recurring_runs, names, strict=True):
        state = str(one.get("status", "")).lower()
        version = str(one.get("description", "")).rpartition("version ")[2].partition(",")[0]
        color = "green" if state == "enabled" else None
        secho(f"{name}  {state:<8}", fg=color, nl=False)
        echo(f"  {_when(one)}  version {version}  {one['recurring_run_id']}")


def _when(recurring_run: dict[str, Any]) -> str:
    trigger = recurring_run.get("trigger") or {}
    line = (trigger.get("cron_schedule") or {}).get("cron")
    if line:
        return f"cron {line}"
    return f"every {(trigger.get('periodic_schedule') or {}).get('interval_second')} s"
