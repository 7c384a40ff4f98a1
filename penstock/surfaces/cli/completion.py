"""Shell completion: the names that a project and its store have, where a command asks for one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Any

import click
from click.shell_completion import CompletionItem, get_completion_class

from penstock.project.config import Config, find_config, read_config

_MOST_RUNS = 50


class Named(click.ParamType):
    """A text for which a shell can offer names."""

    def __init__(self, name: str, names: Callable[[click.Context], Iterable[str]]) -> None:
        self.name = name
        self._names = names

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Return the names that begin so; none where they cannot be found out."""
        try:
            names = list(self._names(ctx))
        except Exception:  # a shell that completes is no place for anybody's errors
            return []
        return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def _config(context: click.Context) -> Config:
    # While completing, click calls no command, so nothing has read the configuration yet.
    return read_config(context.find_root().params.get("config_path") or find_config())


def _pipelines(context: click.Context) -> Iterable[str]:
    return sorted(_config(context).pipelines)


def _profiles(context: click.Context) -> Iterable[str]:
    return sorted(_config(context).profiles)


def _triggers(context: click.Context) -> Iterable[str]:
    return sorted(_config(context).triggers)


def _deployments(context: click.Context) -> Iterable[str]:
    return sorted(_config(context).deployments)


def _monitors(context: click.Context) -> Iterable[str]:
    return sorted(_config(context).monitors)


def _sinks(context: click.Context) -> Iterable[str]:
    return sorted(_config(context).sinks)


def _environments(context: click.Context) -> Iterable[str]:
    return sorted(_config(context).environments)


def _store(context: click.Context) -> AbstractContextManager[Any]:
    from penstock.metadata.databases.patience import HASTY
    from penstock.metadata.store import connect, connection_config

    profile = _config(context).profile(context.params.get("profile_name"))
    connection = connection_config(profile.metadata_address())
    return connect(connection, create=False, wait_seconds=1, patience=HASTY)


def _runs(context: click.Context) -> Iterable[str]:
    from penstock.metadata.runs import list_runs

    with _store(context) as metadata:
        return ["latest", *(run.run_id for run in list_runs(metadata.store, most=_MOST_RUNS))]


def _runs_of_profile(context: click.Context) -> Iterable[str]:
    # A shell does not wait for a server; the newest of its runs has a name all the same.
    profile = _config(context).profile(context.params.get("profile_name"))
    return ["latest"] if profile.kubeflow is not None else _runs(context)


def _nodes(context: click.Context) -> Iterable[str]:
    from penstock import ir

    # An option without its value, which is being typed, ends click's parsing early.
    pipeline = context.params.get("pipeline") or context.args[0]
    definition = _config(context).load_pipeline(pipeline)
    return list(ir.view(ir.compile_pipeline(definition, pipeline_root=".")).nodes)


def _nodes_of_run(context: click.Context) -> Iterable[str]:
    from penstock.metadata.runs import find_run

    with _store(context) as metadata:
        run = find_run(metadata.store, context.params["run_id"])
        return [node.node_id for node in run.nodes]


PIPELINE = Named("pipeline", _pipelines)
PROFILE = Named("profile", _profiles)
TRIGGER = Named("trigger", _triggers)
SINK = Named("sink", _sinks)
DEPLOYMENT = Named("deployment", _deployments)
MONITOR = Named("monitor", _monitors)
ENVIRONMENT = Named("environment", _environments)
RUN = Named("run", _runs)
RUN_OF_PROFILE = Named("run", _runs_of_profile)
NODE = Named("node", _nodes)
NODE_OF_RUN = Named("node", _nodes_of_run)


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Write the script that makes a shell complete commands, pipelines, profiles, runs and nodes.

    \b
    Examples:
      penstock completion bash >> ~/.bashrc
      penstock completion zsh >> ~/.zshrc
      penstock completion fish > ~/.config/fish/completions/penstock.fish
    """
    kind = get_completion_class(shell)
    assert kind is not None
    root = context.find_root()
    click.echo(kind(root.command, {}, "penstock", "_PENSTOCK_COMPLETE").source())
