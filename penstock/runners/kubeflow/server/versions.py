"""Pipelines, their versions and experiments on the server: found, or made once."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from penstock.errors import ServiceError, UnansweredError
from penstock.runners.kubeflow.contract.documents import Documents
from penstock.runners.kubeflow.server.service import Service

_CONFLICT = 409


@dataclass(frozen=True)
class Version:
    """A version of a pipeline on the server; `created` says whether it was not there before."""

    pipeline_id: str
    version_id: str
    name: str
    created: bool = False

    def reference(self) -> dict[str, str]:
        """Return how requests name it."""
        return {"pipeline_id": self.pipeline_id, "pipeline_version_id": self.version_id}


def runtime_config(parameters: Mapping[str, Any], pipeline_root: str) -> dict[str, Any]:
    """Return how requests say what a run gets; the root that a specification has does not count."""
    root = {"pipeline_root": pipeline_root} if pipeline_root else {}
    return {"parameters": dict(parameters), **root}


def equals(key: str, value: str) -> str:
    """Return a filter for lists: those whose field has a value.

    The server decodes a filter once more than HTTP asks for.
    """
    predicate = {"operation": "EQUALS", "key": key, "string_value": value}
    return quote(json.dumps({"predicates": [predicate]}))


def upload(service: Service, documents: Documents) -> Version:
    """Upload a pipeline as a version named by its fingerprint, unless it is there already.

    Raises:
      ServiceError: the server cannot be reached, or refuses.
    """
    name = documents.name
    pipeline = find_or_make(
        lambda: find_pipeline(service, name),
        lambda: service.post(
            "/pipelines",
            f"create the pipeline {name}",
            _body(service, name),
        ),
        service,
    )[0]
    pipeline_id = pipeline["pipeline_id"]
    version, created = find_or_make(
        lambda: find_version(service, pipeline_id, documents.fingerprint),
        lambda: service.upload(
            "/pipelines/upload_version",
            f"upload a version of the pipeline {name}",
            documents.text.encode(),
            name=documents.fingerprint,
            pipelineid=pipeline_id,
        ),
        service,
    )
    return Version(pipeline_id, version["pipeline_version_id"], documents.fingerprint, created)


def find_version(service: Service, pipeline_id: str, name: str) -> dict[str, Any] | None:
    """Return a version of a pipeline by its name, if there is one."""
    path = f"/pipelines/{pipeline_id}/versions"
    listed = service.listed(
        path, "pipeline_versions", "list a pipeline's versions", filter=equals("name", name)
    )
    return _named(listed, name)


def experiment_id(service: Service, name: str) -> str:
    """Return the id of an experiment, which is made if there is none of the name.

    Raises:
      ServiceError: the server cannot be reached, or refuses.
    """
    experiment, _ = find_or_make(
        lambda: find_experiment(service, name),
        lambda: service.post("/experiments", f"create the experiment {name}", _body(service, name)),
        service,
    )
    return str(experiment["experiment_id"])


def find_experiment(service: Service, name: str) -> dict[str, Any] | None:
    """Return an experiment by its name, if there is one."""
    where = {"namespace": service.namespace, "filter": equals("display_name", name)}
    return _named(
        service.listed("/experiments", "experiments", "list the experiments", **where), name
    )


def find_pipeline(service: Service, name: str) -> dict[str, Any] | None:
    """Return a pipeline by its name, if there is one."""
    where = {"namespace": service.namespace, "filter": equals("name", name)}
    return _named(service.listed("/pipelines", "pipelines", "list the pipelines", **where), name)


def _named(listed: Iterable[dict[str, Any]], name: str) -> dict[str, Any] | None:
    """Return what has a name; older servers have no other than that for display."""
    return next((f for f in listed if (f.get("name") or f.get("display_name")) == name), None)


def _body(service: Service, name: str) -> dict[str, str]:
    return {"display_name": name, **({"namespace": service.namespace} if service.namespace else {})}


def find_or_make(
    find: Callable[[], dict[str, Any] | None],
    make: Callable[[], dict[str, Any]],
    service: Service,
) -> tuple[dict[str, Any], bool]:
    """Return what has a unique name, and whether it was made now.

    Since the server refuses a second one of the name, making can be tried again.
    """
    existing = find()
    if existing is not None:
        return existing, False

    def attempt() -> tuple[dict[str, Any], bool]:
        try:
            return make(), True
        except ServiceError as error:
            if error.status != _CONFLICT and not isinstance(error, UnansweredError):
                raise
            there = find()
            if there is None:
                raise
            return there, error.status != _CONFLICT

    return service.again(attempt)
