"""What the commands for Kubeflow Pipelines share: the server of a profile, what they show."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import click

from penstock.errors import ConfigError, PenstockError, RunError
from penstock.project.kubeflow import KubeflowOptions
from penstock.project.profiles import Profile
from penstock.surfaces.cli.options import column, project_config, store_config
from penstock.surfaces.cli.printing import echo, secho

if TYPE_CHECKING:
    from penstock.metadata.protocol import Metadata
    from penstock.runners.kubeflow.server.operations import NodeStatus, RunStatus
    from penstock.runners.kubeflow.server.service import Patience, Service

_MARKS = {
    "SUCCEEDED": ("✔", "green"),
    "CACHED": ("✔", "green"),
    "SKIPPED": ("–", None),
    "FAILED": ("✘", "red"),
    "CANCELED": ("✘", "yellow"),
    "CANCELING": ("·", "yellow"),
    "RUNNING": ("▶", "cyan"),
    "PENDING": ("·", None),
    "PAUSED": ("·", "yellow"),
}


_ALL_CACHED = "All of it came from Kubeflow's cache: no pod has run."
# Who lists runs does not wait long for a server that does not answer.
_CONNECTING_SECONDS, _READING_SECONDS = 5.0, 15.0


def cluster_profile(context: click.Context, name: str | None) -> tuple[Profile, KubeflowOptions]:
    """Return a profile and its table `kubeflow`.

    Without a name it is the default profile, or the only one that has such a table.

    Raises:
      ConfigError: the profile has none.
    """
    config = project_config(context)
    profile = config.profile(name)
    if profile.kubeflow is None and name is None:
        others = [p for p in config.profiles.values() if p.kubeflow is not None]
        profile = others[0] if len(others) == 1 else profile
    if profile.kubeflow is None:
        names = sorted(p.name for p in config.profiles.values() if p.kubeflow is not None)
        raise ConfigError(
            f"profile {profile.name!r} has no table `kubeflow`",
            path=str(config.path) if config.path else None,
            hint=f"Choose one that has: --profile {names[0]}."
            if names
            else f"Write [profiles.{profile.name}.kubeflow] with the host of Kubeflow Pipelines.",
        )
    return profile, profile.kubeflow


def image_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the option `--image`."""
    return click.option("--image", help="The image of the pods, in place of the profile's.")(
        command
    )


def connect(options: KubeflowOptions) -> Service:
    """Return the server that a profile names."""
    from penstock.runners.kubeflow.server import connecting

    return connecting.connect_to(options)


def print_nodes(status: RunStatus) -> None:
    """Print a run's nodes, a line each."""
    for node, name in _named(status):
        _print_node(node, name)


def change_printer() -> Callable[[RunStatus], None]:
    """Return what prints, to standard error, each change of a run's nodes."""
    seen: dict[str, str] = {}

    def print_changes(status: RunStatus) -> None:
        for node, name in _named(status):
            if node.state != seen.get(node.name, "PENDING"):
                _print_node(node, name, err=True)
            seen[node.name] = node.state

    return print_changes


def _named(status: RunStatus) -> Iterator[tuple[NodeStatus, str]]:
    return zip(status.nodes, column(node.name for node in status.nodes), strict=True)


def _print_node(node: NodeStatus, name: str, *, err: bool = False) -> None:
    mark, color = _MARKS.get(node.state, ("?", None))
    secho(f"{mark} {name}  {node.state.lower():<9}", fg=color, nl=False, err=err)
    took = f"  {node.seconds:.0f} s" if node.seconds is not None else ""
    echo(f"{took}{f'  {node.error}' if node.error else ''}", err=err)


def print_end(status: RunStatus) -> None:
    """Print what state a run is in, and where its page is."""
    _, color = _MARKS.get(status.state, ("?", None))
    secho(status.state.lower(), fg=color, bold=True, nl=False)
    echo(f"  {status.name}  run {status.run_id}")
    if status.error:
        echo(f"  error      {status.error}")
    echo(f"  page       {status.address}")
    if status.all_cached:
        echo(f"  {_ALL_CACHED}")


def record_lent(
    context: click.Context, name: str | None, metadata: Metadata, run_id: str = ""
) -> None:
    """Record in a profile's store what Kubeflow's cache has done, of one run or of the newest.

    Where the server cannot be asked, that is said.
    """
    from penstock.runners.kubeflow.server import connecting, lent

    options = project_config(context).profile(name).kubeflow
    if options is None:
        return
    try:
        service = connecting.connect_to(options, _brief())
        lent.record_lent(metadata, store_config(context, name), service, run_id)
    except PenstockError as error:
        echo(f"not asked for what Kubeflow's cache has done: {error.message}", err=True)


def kept_recorded(context: click.Context, name: str | None) -> AbstractContextManager[None]:
    """Return what records meanwhile, in a profile's store, what Kubeflow's cache does."""
    from penstock.runners.kubeflow.server import connecting, lent

    options = project_config(context).profile(name).kubeflow
    if options is None:
        return nullcontext()

    def reach() -> Service:
        return connecting.connect_to(options, _brief())

    return lent.kept_recorded(store_config(context, name), reach)


def _brief() -> Patience:
    """Return the patience of those for whom the server is not what they came for."""
    from penstock.runners.kubeflow.server.service import Patience

    return Patience(_CONNECTING_SECONDS, _READING_SECONDS, pauses=())


def cached_elsewhere(context: click.Context, name: str | None, run_id: str) -> RunError | None:
    """Return what to say of a run that the store does not know, if Kubeflow has it."""
    from penstock.runners.kubeflow.server import operations

    profile = project_config(context).profile(name)
    if profile.kubeflow is None or run_id == "latest":
        return None
    try:
        status = operations.read_status(connect(profile.kubeflow), run_id)
    except PenstockError:
        return None
    known = _ALL_CACHED if status.all_cached else f"There it is {status.state.lower()}."
    return RunError(
        f"the metadata store has nothing of run {run_id}, which is on {status.address}. {known}",
        hint=f"penstock status {run_id} --profile {profile.name} shows its nodes.",
    )


def as_json(status: RunStatus) -> dict[str, Any]:
    """Return a run's state as JSON can have it."""
    return {**vars(status), "nodes": [vars(node) for node in status.nodes]}
