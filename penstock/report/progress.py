"""How a run stands, read with few calls: for who asks again and again, and for who keeps reports.

A version is a text that changes with what it stands for.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from penstock import _tfx
from penstock.errors import RunError
from penstock.ir.reading import RUN_CONTEXT
from penstock.metadata import turns
from penstock.metadata.layout import log_path, resources_path, run_folder
from penstock.metadata.protocol import Store
from penstock.metadata.reading import (
    Place,
    links_of_executions,
    places_of,
    read_artifacts,
)
from penstock.metadata.run_requests import run_graph, run_root
from penstock.metadata.runs import state_of_node, state_of_run
from penstock.report.contents import state_without_record
from penstock.report.page import artifact_version

if TYPE_CHECKING:
    from ml_metadata.proto.metadata_store_pb2 import Execution


@dataclass(frozen=True)
class Progress:
    """How a run and each of its nodes stand; `executions` are all that it has had."""

    run_id: str
    state: str
    nodes: Mapping[str, str]
    version: str
    executions: tuple[int, ...] = ()
    log_folder: str = ""

    def log_path(self, node_id: str) -> str:
        """Return where the log of a node stands, "" if the store does not say."""
        return log_path(self.log_folder, node_id) if self.log_folder else ""

    def resources_path(self, node_id: str) -> str:
        """Return where stands what a node takes, "" if the store does not say."""
        return resources_path(self.log_folder, node_id) if self.log_folder else ""

    def node_version(self, node_id: str) -> str:
        """Return what changes with the run, or with what one of its nodes prints or takes."""
        taken = _file_version(self.resources_path(node_id))
        return _version((self.version, _file_version(self.log_path(node_id)), taken))


@dataclass(frozen=True)
class Places:
    """Where executions belong, which never changes: it is read once for each."""

    cache: dict[int, Place] = field(default_factory=dict)

    def read(self, store: Store, execution_ids: Iterable[int]) -> Mapping[int, Place]:
        """Return the places of executions."""
        ids = list(execution_ids)
        self.cache.update(places_of(store, [i for i in ids if i not in self.cache]))
        return {i: self.cache.get(i, Place()) for i in ids}


def read_progress(store: Store, run_id: str, places: Places) -> Progress:
    """Return how a run stands; `run_id` is its full name.

    Raises:
      RunError: there is no such run.
    """
    context = store.get_context_by_type_and_name(RUN_CONTEXT, run_id)
    if context is None:
        raise RunError(f"there is no run {run_id!r}")
    executions: list[Execution] = store.get_executions_by_context(context.id)
    executions.sort(key=lambda execution: execution.id)
    belongs = places.read(store, [execution.id for execution in executions])
    # Of several executions of a node, tried again, the last one counts.
    states = {belongs[e.id].node_id: state_of_node(e) for e in executions}
    state = state_of_run(store, context, states)
    if state == turns.ABANDONED:
        states = {name: "failed" if of == turns.RUNNING else of for name, of in states.items()}
    planned = {plan.node_id: state_without_record(plan, state) for plan in run_graph(context)}
    root = run_root(context)
    folder = run_folder(root, run_id) if root else ""
    working = [node_id for node_id, of in states.items() if of == "running" and folder]
    return Progress(
        run_id,
        state,
        {**planned, **states},
        _version(
            (
                context.id,
                state,
                context.last_update_time_since_epoch,
                *((e.id, e.last_known_state, e.last_update_time_since_epoch) for e in executions),
                *(_looked_at(resources_path(folder, node_id)) for node_id in working),
            )
        ),
        tuple(execution.id for execution in executions),
        folder,
    )


# What nodes take is measured all the time; a page that shows a run shows it anew that often.
_RENEWAL_SECONDS = 5


def _looked_at(path: str) -> int:
    """Return what changes now and then while a node is looked at."""
    return _file_version(path)[0] // (_RENEWAL_SECONDS * 1_000_000_000)


def report_version(store: Store, progress: Progress) -> str:
    """Return what changes with anything that the report of a run shows of it."""
    links = links_of_executions(store, progress.executions)
    artifacts = read_artifacts(store, {link.artifact_id for link in links})
    failed = [node_id for node_id, state in progress.nodes.items() if state == "failed"]
    return _version(
        (
            progress.version,
            *(artifact_version(artifact) for _, artifact in sorted(artifacts.items())),
            *(_file_version(progress.log_path(node_id)) for node_id in failed),
        )
    )


def store_version(store: Store) -> str:
    """Return what changes with any run: when the last change of one was, and of an execution."""
    latest = {
        "order_by": _tfx.ml_metadata.OrderByField.UPDATE_TIME,
        "is_asc": False,
        "limit": _SEVERAL,
    }
    runs = _tfx.ml_metadata.ListOptions(filter_query=f"type = '{RUN_CONTEXT}'", **latest)
    contexts = store.get_contexts(runs)
    changed = [*contexts, *store.get_executions(_tfx.ml_metadata.ListOptions(**latest))]
    # Nobody writes that the process of a run is gone, until the next command.
    gone = [c.id for c in contexts if state_of_run(store, c, {}) == turns.ABANDONED]
    return _version([*gone, *((node.id, node.last_update_time_since_epoch) for node in changed)])


# Of several changes in one millisecond, more than the last are looked at.
_SEVERAL = 5


def _file_version(path: str) -> tuple[int, int]:
    try:
        stat = os.stat(path)
    except OSError:
        return (0, 0)
    return (stat.st_mtime_ns, stat.st_size)


def _version(facts: Iterable[Hashable]) -> str:
    return hashlib.sha256(repr(tuple(facts)).encode()).hexdigest()[:20]
