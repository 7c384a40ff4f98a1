"""What the nodes of a run have printed: on this machine, or on Kubeflow Pipelines."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import click

from penstock.errors import RunError, StorageError, suggestion
from penstock.surfaces.cli.completion import NODE_OF_RUN, RUN_OF_PROFILE
from penstock.surfaces.cli.options import (
    column,
    json_option,
    open_store,
    profile_option,
    project_config,
)
from penstock.surfaces.cli.printing import echo, echo_json, echo_log

_BLOCK = 1 << 16
_LOOK = 0.5


@click.command()
@click.argument("run_id", metavar="RUN", type=RUN_OF_PROFILE)
@click.argument("node", metavar="[NODE]", required=False, type=NODE_OF_RUN)
@profile_option
@click.option("-f", "--follow", is_flag=True, help="Go on as long as the node prints.")
@json_option
@click.pass_context
def logs(
    context: click.Context,
    run_id: str,
    node: str | None,
    profile_name: str | None,
    follow: bool,
    as_json: bool,
) -> None:
    """Show what NODE of a RUN has printed, or which of its nodes have; `latest` is the newest.

    Under a profile with a table `kubeflow` it is a run on Kubeflow Pipelines.

    \b
    Examples:
      penstock logs latest Trainer
      penstock logs latest Trainer --follow --profile kubeflow
    """
    if as_json and node is not None:
        raise click.UsageError("--json is for the list of logs; a log is text as it is.", context)
    profile = project_config(context).profile(profile_name)
    if profile.kubeflow is not None:
        _show_from_server(context, run_id, node, profile_name, follow, as_json)
        return
    with open_store(context, profile_name) as metadata:
        from penstock.metadata.runs import find_run

        record = find_run(metadata.store, run_id)
        if node is None:
            _list(profile.root_of(record.pipeline_name), record, as_json)
            return
        path = _log_file(profile.root_of(record.pipeline_name), record, node)
        if not follow:
            echo_log(_blocks(path))
            return

        def is_over() -> bool:
            now = find_run(metadata.store, record.run_id)
            return all(n.state != "running" for n in now.nodes if n.node_id == node)

        echo_log(_growing(path, is_over))


def _show_from_server(
    context: click.Context,
    run_id: str,
    node: str | None,
    profile_name: str | None,
    follow: bool,
    as_json: bool,
) -> None:
    from penstock.runners.kubeflow.server import logs as of_server
    from penstock.runners.kubeflow.server import operations
    from penstock.surfaces.cli import service as server

    _, options = server.cluster_profile(context, profile_name)
    service = server.connect(options)
    if node is None:
        status = operations.read_status(service, run_id)
        if as_json:
            echo_json(server.as_json(status))
        else:
            server.print_nodes(status)
    elif follow:
        echo_log(text.encode() for text in of_server.follow(service, run_id, node))
    else:
        run = operations.find_run(service, run_id)
        echo_log([of_server.read_log(service, run, node).encode()])


def _folder(root: str, record: Any) -> Path:
    from penstock.metadata import layout
    from penstock.safety import containment

    return Path(layout.run_folder(root, containment.name(record.run_id, "a run's name")))


def _list(root: str, record: Any, as_json: bool) -> None:
    files = [(node, _folder(root, record) / f"{node.node_id}.log") for node in record.nodes]
    if as_json:
        listed = [
            {
                "node_id": node.node_id,
                "state": node.state,
                "log": str(file.absolute()) if file.exists() else None,
            }
            for node, file in files
        ]
        echo_json(listed)
        return
    names = column(node.node_id for node, _ in files)
    for (node, file), name in zip(files, names, strict=True):
        size = f"{file.lstat().st_size:>12,} bytes" if os.path.lexists(file) else f"{'no log':>18}"
        echo(f"{name}  {node.state:<9}  {size}")


def _log_file(root: str, record: Any, node: str) -> Path:
    nodes = {n.node_id: n for n in record.nodes}
    if node not in nodes:
        raise RunError(
            f"run {record.run_id} has no node {node!r}",
            hint=suggestion(node, nodes, noun="node"),
        )
    path = _folder(root, record) / f"{node}.log"
    if not os.path.lexists(path):
        raise RunError(
            f"{node} of run {record.run_id} has no log in {path.parent}",
            hint="It was taken from the cache, or the log was removed."
            if nodes[node].state == "cached"
            else "It has not begun, the run was made elsewhere, or its log was removed.",
        )
    return path


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    from penstock.metadata.layout import open_run_file

    try:
        file = open_run_file(str(path), "rb")
    except OSError as error:
        raise StorageError(
            f"the log {path} cannot be read: {error.strerror}", path=str(path.parent)
        ) from error
    with file:
        yield file


def _blocks(path: Path) -> Iterator[bytes]:
    with _opened(path) as file:
        while block := file.read(_BLOCK):
            yield block


def _growing(path: Path, is_over: Callable[[], bool]) -> Iterator[bytes]:
    with _opened(path) as file:
        while True:
            over = is_over()
            while block := file.read(_BLOCK):
                yield block
            if over:
                return
            time.sleep(_LOOK)
