"""Jobs of workers, and what they report."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal

from penstock import _tfx, ir
from penstock.execution import work as nodes_work
from penstock.execution.stages import Work
from penstock.execution.steps import OnStep, ignore
from penstock.metadata.layout import working_folders
from penstock.project.retrying import ERROR


@dataclass(frozen=True)
class Job:
    """A piece of work: a driver's or an executor's.

    It starts when the nursery has imported all modules that it `needs`. What it takes of the
    machine is written to `resources_path`, if one is given; it writes below `folders`.
    """

    kind: Literal["driver", "executor"]
    invocation: bytes
    spec: _tfx.ExecutableSpec
    log_path: str
    metadata_connection: _tfx.Connection | None = None
    needs: tuple[str, ...] = ()
    node_id: str = ""
    on_step: OnStep = ignore
    pipeline_root: str = ""
    resources_path: str = ""
    folders: tuple[str, ...] = ()


@dataclass(frozen=True)
class Started:
    """A worker has begun; until then its nursery was busy importing."""


@dataclass(frozen=True)
class Advanced:
    """A worker says how far it is: running totals, as rows or steps, and where its work is done."""

    counts: dict[str, int]
    note: str | None = None


@dataclass(frozen=True)
class Succeeded:
    """A worker's result, and the resources that it took."""

    result: bytes
    measured: dict[str, float]


@dataclass(frozen=True)
class Failed:
    """A worker's error: one paragraph for the reader, and the whole traceback.

    `failure` is what it failed of. `crashed` if its process died of itself, so that the log's last
    line may say at what.
    """

    message: str
    details: str = ""
    crashed: bool = False
    failure: str = ERROR


Report = Started | Advanced | Succeeded | Failed


def job_of(
    work: Work,
    log_path: str,
    connection: _tfx.Connection,
    pipeline: ir.Pipeline | None = None,
    on_step: OnStep = ignore,
    resources_path: str = "",
) -> Job:
    """Return the job of a node's work; only what asks the store is told where it is.

    Of what a node takes, only its executor's part is written to `resources_path`.
    """
    prepared = work.prepared
    if work.kind == "executor":
        needs = nodes_work.preloads(prepared.node, pipeline)
        asks_store = nodes_work.uses_store(prepared.node)
    else:
        needs = nodes_work.preloads_of_driver(prepared.node.driver_path)
        asks_store = True
    return Job(
        work.kind,
        prepared.invocation(),
        work.spec,
        log_path,
        connection if asks_store else None,
        needs,
        prepared.node_id,
        on_step,
        prepared.node.root,
        resources_path if work.kind == "executor" else "",
        working_folders(os.path.join(prepared.node.root, prepared.node_id), prepared.execution_id),
    )
