"""Building OpenLineage events, in openlineage-python's own classes."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from penstock.openlineage.datasets import DatasetRecord

# The namespace of the UUIDs of runs; their names are those of the runs in ML Metadata.
_RUNS = uuid.uuid5(uuid.NAMESPACE_URL, "urn:penstock:run")

STATES = {
    "running": "START",
    "done": "COMPLETE",
    "cached": "COMPLETE",
    "failed": "FAIL",
    "canceled": "ABORT",
}


def run_uuid(run_id: str, attempt: int = 1) -> str:
    """Return the UUID of an attempt at a run: always the same for the same."""
    return str(uuid.uuid5(_RUNS, run_id if attempt == 1 else f"{run_id}#{attempt}"))


def execution_uuid(run_id: str, node_id: str, execution_id: int | None) -> str:
    """Return the UUID of a node's execution in a run: always the same for the same."""
    return str(uuid.uuid5(_RUNS, f"{run_id}/{node_id}/{execution_id or ''}"))


@dataclass(frozen=True)
class JobRun:
    """A run of a pipeline or of one of its nodes: what OpenLineage calls a run of a job.

    `parent` is the UUID of the pipeline's run that a node's is part of.
    """

    uuid: str
    namespace: str
    pipeline_name: str
    run_id: str
    node_id: str = ""
    parent: str = ""
    execution_id: int | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    code: Mapping[str, str] = field(default_factory=dict)

    @property
    def job_name(self) -> str:
        """The job's name: the pipeline's, and after a dot the node's."""
        return f"{self.pipeline_name}.{self.node_id}" if self.node_id else self.pipeline_name


def now() -> str:
    """Return the time as events have it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def run_event(
    run: JobRun,
    state: str,
    time: str,
    *,
    inputs: Iterable[DatasetRecord] = (),
    outputs: Iterable[DatasetRecord] = (),
    error: str = "",
) -> Any:
    """Return the event that a run has come to a state, one of `STATES`."""
    from openlineage.client import event_v2, facet_v2

    producer = _producer()
    return event_v2.RunEvent(
        eventTime=time,
        producer=producer,
        eventType=event_v2.RunState[STATES[state]],
        run=event_v2.Run(run.uuid, facets=_run_facets(run, state, error)),
        job=event_v2.Job(run.namespace, run.job_name, facets=_job_facets(run)),
        inputs=[
            event_v2.InputDataset(d.namespace, d.name, facets=_dataset_facets(facet_v2, d))
            for d in inputs
        ],
        outputs=[
            event_v2.OutputDataset(d.namespace, d.name, facets=_dataset_facets(facet_v2, d))
            for d in outputs
        ],
    )


def _producer() -> str:
    from penstock import __version__

    return f"urn:penstock:{__version__}"


def _run_facets(run: JobRun, state: str, error: str) -> dict[str, Any]:
    from openlineage.client import facet_v2

    from penstock import __version__

    producer = _producer()
    ours: dict[str, Any] = {"runId": run.run_id}
    if run.node_id:
        ours.update(nodeId=run.node_id, executionId=run.execution_id, cached=state == "cached")
    facets: dict[str, Any] = {
        "processing_engine": facet_v2.processing_engine_run.ProcessingEngineRunFacet(
            __version__, "Penstock", producer=producer
        ),
        "penstock_execution": facet_v2.RunFacet(producer=producer).with_additional_properties(
            **ours
        ),
    }
    if run.parameters:
        facets["executionParameters"] = _parameters_facet(run.parameters, producer)
    if run.node_id:
        facets["parent"] = _parent_facet(run, producer)
    if error:
        facets["errorMessage"] = facet_v2.error_message_run.ErrorMessageRunFacet(
            error, "PYTHON", producer=producer
        )
    return facets


def _parameters_facet(parameters: Mapping[str, Any], producer: str) -> Any:
    from openlineage.client.facet_v2 import execution_parameters_run as facet

    items = [
        facet.ExecutionParameter(key=name, value=_text(value)) for name, value in parameters.items()
    ]
    return facet.ExecutionParametersRunFacet(items, producer=producer)


def _parent_facet(run: JobRun, producer: str) -> Any:
    from openlineage.client.facet_v2 import parent_run as facet

    root = facet.Root(facet.RootRun(run.parent), facet.RootJob(run.namespace, run.pipeline_name))
    return facet.ParentRunFacet(
        facet.Run(run.parent), facet.Job(run.namespace, run.pipeline_name), root, producer=producer
    )


def _job_facets(run: JobRun) -> dict[str, Any]:
    from openlineage.client import facet_v2

    producer = _producer()
    facets: dict[str, Any] = {
        "jobType": facet_v2.job_type_job.JobTypeJobFacet(
            "BATCH", "PENSTOCK", "TASK" if run.node_id else "DAG", producer=producer
        )
    }
    if run.code:
        facets["penstock_code"] = facet_v2.JobFacet(producer=producer).with_additional_properties(
            digests=dict(run.code)
        )
    return facets


def _dataset_facets(facet_v2: Any, dataset: DatasetRecord) -> dict[str, Any]:
    producer = _producer()
    facets: dict[str, Any] = {
        "datasetType": facet_v2.dataset_type_dataset.DatasetTypeDatasetFacet(
            dataset.kind, dataset.type_name or None, producer=producer
        ),
        "storage": facet_v2.storage_dataset.StorageDatasetFacet(
            dataset.storage_layer, dataset.file_format or None, producer=producer
        ),
    }
    if dataset.version:
        facets["version"] = facet_v2.dataset_version_dataset.DatasetVersionDatasetFacet(
            dataset.version, producer=producer
        )
    if dataset.uri:
        facets["penstock_artifact"] = facet_v2.DatasetFacet(
            producer=producer
        ).with_additional_properties(
            uri=dataset.uri, artifactId=dataset.artifact_id, typeName=dataset.type_name or None
        )
    return facets


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)
