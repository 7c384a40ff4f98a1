"""What the commands share: options, the project's configuration, the store."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import click

from penstock.project import clusters
from penstock.project.config import Config
from penstock.surfaces.cli import noise
from penstock.surfaces.cli.completion import PROFILE
from penstock.surfaces.cli.printing import echo

RUN_FAILED = 1
WRONG_REQUEST = 2
INTERRUPTED = 130


def project_config(context: click.Context) -> Config:
    """Return the project's configuration: the file that `--config` names, or the nearest."""
    config: Config = context.obj()
    return config


def load_pipeline(config: Config, name: str) -> Any:
    """Return a pipeline; what installed packages say while it is imported goes to a log."""
    with noise.of_imports_logged(config.folder):
        return config.load_pipeline(name)


def profile_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the option `--profile`."""
    return click.option(
        "--profile", "profile_name", type=PROFILE, help="The profile of penstock.toml to use."
    )(command)


def engine_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that say who does the parts of the work of nodes."""
    for option in (
        click.option(
            "--beam-arg",
            "beam_args",
            multiple=True,
            metavar="ARG",
            help="An argument for Beam, as --beam-arg=--runner=FlinkRunner; repeatable.",
        ),
        click.option("--ray", metavar="ADDRESS", help="Let a Ray do the parts of nodes' work."),
        click.option("--spark", metavar="MASTER", help="Let a Spark do the parts of nodes' work."),
    ):
        command = option(command)
    return command


def engine_args(beam_args: tuple[str, ...], spark: str | None, ray: str | None) -> tuple[str, ...]:
    """Return what the options of `engine_options` add to a profile's arguments.

    Raises:
      UsageError: they name more than one place.
    """
    named = [
        *(["--beam-arg"] if clusters.names_a_place(beam_args) else []),
        *(["--spark"] if spark else []),
        *(["--ray"] if ray else []),
    ]
    if len(named) > 1:
        raise click.UsageError(f"{' and '.join(named)} name different places for the work.")
    args = beam_args
    if spark:
        args = (*args, *clusters.SparkOptions(spark).args)
    if ray:
        args = (*args, *clusters.RayOptions(ray).args)
    return args


def json_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the option `--json`."""
    return click.option("--json", "as_json", is_flag=True, help="Write JSON, for programs.")(
        command
    )


def parameter_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the option `--parameter`."""
    return click.option(
        "-p",
        "--parameter",
        "arguments",
        multiple=True,
        metavar="NAME=VALUE",
        help="A parameter of the pipeline; may be repeated.",
    )(command)


def column(texts: Iterable[str]) -> list[str]:
    """Return texts padded to the width of the longest."""
    texts = list(texts)
    width = max(map(len, texts), default=0)
    return [text.ljust(width) for text in texts]


def local_time(at: datetime) -> str:
    """Return a time as people here read it."""
    return f"{at.astimezone():%Y-%m-%d %H:%M:%S}"


@contextmanager
def open_store(context: click.Context, profile_name: str | None) -> Iterator[Any]:
    """Connect to the store of a profile; raise StoreError where there is none yet.

    Runs whose process was killed are put in order first, and named.
    """
    from penstock.execution.recovery import mark_abandoned
    from penstock.metadata.databases.patience import OPENING_SECONDS, Patience
    from penstock.metadata.store import connect

    connection = store_config(context, profile_name)
    with connect(connection, create=False, patience=Patience(OPENING_SECONDS)) as metadata:
        for run_id in mark_abandoned(metadata):
            echo(f"run {run_id} was killed; go on with it: penstock resume {run_id}", err=True)
        yield metadata


def store_config(context: click.Context, profile_name: str | None) -> Any:
    """Return ML Metadata's connection settings for the store of a profile."""
    from penstock.metadata.store import connection_config

    return connection_config(project_config(context).profile(profile_name).metadata_address())
