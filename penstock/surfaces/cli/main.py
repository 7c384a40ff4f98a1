"""The command line's group of commands. Each is imported when it is called: help must not wait."""

from __future__ import annotations

import atexit
import errno
import gc
import logging
import os
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import click

from penstock import __version__
from penstock.errors import PenstockError, WrittenDownWarning
from penstock.metadata.rows import MalformedRowWarning
from penstock.project import extras
from penstock.project.config import find_config, read_config
from penstock.surfaces.cli.groups import LazyGroup
from penstock.surfaces.cli.options import INTERRUPTED, WRONG_REQUEST
from penstock.surfaces.cli.printing import (
    OutputError,
    complete_streams,
    discard,
    echo_indented,
    secho,
    unread_output,
)

_NOT_WRITTEN = (errno.ENOSPC, errno.EDQUOT, errno.EIO)

# In the order in which help shows them.
COMMANDS: Mapping[str, str] = {
    "init": "penstock.surfaces.cli.init:init",
    "run": "penstock.surfaces.cli.run:run",
    "plan": "penstock.surfaces.cli.run:plan",
    "resume": "penstock.surfaces.cli.run:resume",
    "submit": "penstock.surfaces.cli.submit:submit",
    "schedule": "penstock.surfaces.cli.schedule:schedule",
    "apply": "penstock.surfaces.cli.apply:apply",
    "trigger": "penstock.surfaces.cli.trigger:trigger",
    "alert": "penstock.surfaces.cli.alert:alert",
    "daemon": "penstock.surfaces.cli.daemon:daemon",
    "status": "penstock.surfaces.cli.status:status",
    "logs": "penstock.surfaces.cli.logs:logs",
    "cancel": "penstock.surfaces.cli.status:cancel",
    "list": "penstock.surfaces.cli.pipelines:list_pipelines",
    "runs": "penstock.surfaces.cli.runs:runs",
    "show": "penstock.surfaces.cli.runs:show",
    "report": "penstock.surfaces.cli.report:report",
    "ui": "penstock.surfaces.cli.ui:ui",
    "compare": "penstock.surfaces.cli.compare:compare",
    "model": "penstock.surfaces.cli.model:model",
    "predict": "penstock.surfaces.cli.predict:predict",
    "serve": "penstock.surfaces.cli.serve:serve",
    "release": "penstock.surfaces.cli.release:release",
    "rollback": "penstock.surfaces.cli.release:rollback",
    "monitor": "penstock.surfaces.cli.monitor:monitor",
    "lineage": "penstock.surfaces.cli.lineage:lineage",
    "store": "penstock.surfaces.cli.store:store",
    "metadata": "penstock.surfaces.cli.metadata:metadata",
    "gc": "penstock.surfaces.cli.gc:gc",
    "doctor": "penstock.surfaces.cli.doctor:doctor",
    "completion": "penstock.surfaces.cli.completion:completion",
    "compile": "penstock.surfaces.cli.pipelines:compile_command",
    "build": "penstock.surfaces.cli.build:build",
    "ci": "penstock.surfaces.cli.ci:ci",
}


class _Commands(LazyGroup):
    """The group of all commands."""

    places = COMMANDS

    def invoke(self, ctx: click.Context) -> Any:
        # Click would exit with 1 where nobody reads on.
        with unread_output():
            return super().invoke(ctx)
        return 0


# After so many more objects than were freed does the collector look; by default after 700.
_RARELY = (50_000, 20, 20)


def main() -> NoReturn:
    """Run the command line and exit: 0 it worked, 1 the run failed, 2 the request was wrong.

    Where the output is a pipe whose reader has seen enough, that is no failure.
    """
    complete_streams()
    # A command makes what lives until its end, most of it by imports.
    gc.set_threshold(*_RARELY)
    # What is left when a process ends has no garbage that is worth a search among all that was
    # imported, which takes seconds where that is TFX.
    atexit.register(gc.freeze)
    logging.getLogger("absl").setLevel(logging.CRITICAL)  # TFX reports through exceptions too
    _show_warnings_plainly()
    # None lets click find out whether it writes to a terminal.
    color = False if os.environ.get("NO_COLOR") else None
    try:
        os.getcwd()
    except FileNotFoundError:
        _fail("the folder in which this command runs was removed. Go to another one: cd.", color)
    try:
        code = penstock.main(prog_name="penstock", standalone_mode=False, color=color)
    except click.Abort:
        sys.exit(INTERRUPTED)
    except click.UsageError as error:
        program = error.ctx.command_path if error.ctx else "penstock"
        message = error.format_message().rstrip()
        message = message if message.endswith((".", "?", "!", ")")) else f"{message}."
        _fail(f"{message} See: {program} --help", color)
    except click.ClickException as error:
        _fail(error.format_message(), color)
    except PenstockError as error:
        _fail(str(error), color)
    except ImportError as error:
        missing = extras.of_import_error(error)
        if missing is None:
            raise
        _fail(str(missing), color)
    except OutputError as error:
        discard(sys.stdout)
        _fail(f"{error}. Give it room, or send it elsewhere.", color)
    except OSError as error:
        if error.filename is None and error.errno in _NOT_WRITTEN:
            # What click prints itself, as --help and --version.
            discard(sys.stdout)
            _fail(f"the output could not be written: {error.strerror}. Give it room.", color)
        if error.filename is None:
            raise
        _fail(f"{error.filename}: {error.strerror}. Check the path, and who may use it.", color)
    sys.exit(code or 0)


def _show_warnings_plainly() -> None:
    """Say what is wrong with what was given or stored, without the place in our code."""
    default = warnings.showwarning

    def show(message: Any, category: type[Warning], *place: Any, **more: Any) -> None:
        if issubclass(category, (MalformedRowWarning, WrittenDownWarning)):
            echo_indented(f"warning: {message}", err=True)
        else:
            default(message, category, *place, **more)

    warnings.showwarning = show


def _fail(message: str, color: bool | None) -> NoReturn:
    if color is False:
        echo_indented(f"error: {message}", err=True)
    else:
        secho("error: ", fg="red", bold=True, nl=False, err=True)
        echo_indented(message, err=True)
    sys.exit(WRONG_REQUEST)


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
