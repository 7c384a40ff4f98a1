"""An InferenceService of KServe: the new version is its latest revision, and gets a share.

KServe makes a revision of each change of the predictor, its annotations too, and splits callers
between the latest one and the one that last served everybody. So what was told last, and which
version is which, stands in a ConfigMap beside the service. A revision that is not wanted any more
keeps a share of 0 %: without one KServe would give it everybody.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from penstock.errors import ConfigError
from penstock.operations.releases.targets.protocol import (
    FAILED,
    LOADING,
    READY,
    AwayError,
    Standing,
    TargetError,
)
from penstock.operations.releases.targets.requests import Service, said
from penstock.serving.evidence import Evidence
from penstock.serving.routes import CANARY, Routes, Servable

API_VERSION = "serving.kserve.io/v1beta1"
KIND = "InferenceService"

_POD = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_STORAGE = re.compile(r"(gs|s3|hdfs|webhdfs|pvc|https?|hf|oci)://.+")
_BROKEN = ("BlockedByFailedLoad", "InvalidSpec")


@dataclass(frozen=True)
class InferenceServices:
    """An InferenceService by its name and namespace, over the API of Kubernetes."""

    service: str
    namespace: str
    model_format: str
    runtime: str
    api: Service

    @classmethod
    def connect(
        cls,
        service: str,
        namespace: str,
        model_format: str,
        runtime: str = "",
        *,
        url: str = "",
        token: str = "",
        certificate_authority: str = "",
    ) -> InferenceServices:
        """Return the service behind an API; without `url`, that of the cluster of this pod.

        Raises:
          ConfigError: this is no pod.
        """
        if not url:
            if not (_POD / "token").exists():
                raise ConfigError(
                    "this is no pod of a cluster, and no address of its API is given",
                    hint="Write url into the table `kserve`: kubectl proxy listens at "
                    "http://127.0.0.1:8001.",
                )
            url = "https://kubernetes.default.svc"
            token = token or (_POD / "token").read_text().strip()
            certificate_authority = certificate_authority or str(_POD / "ca.crt")
        api = Service(url, token, certificate_authority)
        return cls(service, namespace, model_format, runtime, api)

    @property
    def roles(self) -> frozenset[str]:
        """A canary; copies of requests are not KServe's."""
        return frozenset({CANARY})

    def describe(self) -> Standing:
        """Return what the ConfigMap says, as far as the service is as it was told."""
        service, known = self._service(), self._known()
        if service is None or known is None:
            return Standing()
        versions = {
            known.rolled_out.version: READY if known.routes is not None else self._state(service),
            known.latest.version: self._state(service),
        }
        if known.latest.version != known.rolled_out.version:
            versions[known.rolled_out.version] = READY
        reason = _reason(service)
        routes = known.routes
        if routes is not None and _told(service) != known.told:
            routes = replace(routes, token="")
        return Standing(routes, versions, {known.latest.version: reason})

    def prepare(self, servable: Servable) -> str:
        """Make a revision of a version, which gets no share yet; return whether it is ready."""
        if not _STORAGE.fullmatch(servable.path):
            raise TargetError(
                f"KServe cannot read {servable.path}",
                hint="Push models to an object store, and let pipeline_root be there.",
            )
        service, known = self._service(), self._known()
        if service is None or known is None:
            if service is not None:
                raise TargetError(
                    f"InferenceService {self.service} was not made by a release",
                    hint="Give the deployment a service of its own.",
                )
            first = _Known(servable, servable, None, (servable.path, None))
            self._remember(first)
            self._create(servable)
            return LOADING
        if servable.version == known.latest.version:
            return self._state(self._patch(service, *known.told))
        if servable.version == known.rolled_out.version:
            return READY
        known = replace(known, latest=servable, told=(servable.path, 0))
        self._remember(known)
        return self._state(self._patch(service, servable.path, 0))

    def shift(self, routes: Routes) -> None:
        """Give the latest revision a share, or everybody."""
        service, known = self._service(), self._known()
        if service is None or known is None:
            raise TargetError(f"there is no InferenceService {self.service}")
        if routes == known.routes:
            self._patch(service, *known.told)
            return
        share = routes.canary
        if share is not None and share.percent != int(share.percent):
            raise TargetError(f"KServe takes whole percents, not {share.percent:g}")
        latest, rolled_out = known.latest, known.rolled_out
        percent: int | None
        if share is not None:
            if (routes.production, share.version) != (rolled_out.version, latest.version):
                raise TargetError(
                    f"version {rolled_out.version} serves and {latest.version} is the latest: no "
                    f"share of {routes.production} and {share.version}"
                )
            percent = int(share.percent)
        elif routes.production == latest.version != rolled_out.version:
            percent, rolled_out = None, latest
        elif routes.production == rolled_out.version:
            percent = known.told[1] if latest.version == rolled_out.version else 0
        else:
            raise TargetError(f"version {routes.production} is no revision of {self.service}")
        self._remember(_Known(rolled_out, latest, routes, (latest.path, percent)))
        self._patch(service, latest.path, percent)

    def evidence(self) -> Evidence | None:
        """Return None: what each revision has answered is in the cluster's monitoring."""
        return None

    def remove(self, version: int) -> None:
        """Take a version away that has no share, by making the one that serves the latest."""
        service, known = self._service(), self._known()
        if service is None or known is None or version != known.latest.version:
            return
        if version == known.rolled_out.version:
            raise TargetError(f"version {version} serves")
        told = (known.rolled_out.path, 0)
        self._remember(replace(known, latest=known.rolled_out, told=told))
        self._patch(service, *told)

    def _state(self, service: Mapping[str, Any]) -> str:
        status = service.get("status") or {}
        if status.get("observedGeneration", -1) < service["metadata"].get("generation", 0):
            return LOADING
        model = status.get("modelStatus") or {}
        if model.get("transitionStatus") in _BROKEN:
            return FAILED
        component = (status.get("components") or {}).get("predictor") or {}
        created, ready = (
            component.get(key) for key in ("latestCreatedRevision", "latestReadyRevision")
        )
        return READY if created and created == ready else LOADING

    @property
    def _path(self) -> str:
        return f"/apis/{API_VERSION}/namespaces/{self.namespace}/inferenceservices"

    @property
    def _map_name(self) -> str:
        return f"{self.service}-penstock"

    @property
    def _maps_path(self) -> str:
        return f"/api/v1/namespaces/{self.namespace}/configmaps"

    def _service(self) -> dict[str, Any] | None:
        return self._get(f"{self._path}/{self.service}")

    def _create(self, servable: Servable) -> None:
        model: dict[str, Any] = {
            "modelFormat": {"name": self.model_format},
            "storageUri": servable.path,
        }
        if self.runtime:
            model["runtime"] = self.runtime
        self._ask(
            "POST",
            self._path,
            {
                "apiVersion": API_VERSION,
                "kind": KIND,
                "metadata": {"name": self.service, "namespace": self.namespace},
                "spec": {"predictor": {"model": model}},
            },
        )

    def _patch(
        self, service: Mapping[str, Any], storage: str, percent: int | None
    ) -> dict[str, Any]:
        """Change what a service loads, and the share of that; as it was read, or not at all."""
        if _told(service) == (storage, percent):
            return dict(service)
        content = {
            "metadata": {"resourceVersion": service["metadata"]["resourceVersion"]},
            "spec": {
                "predictor": {"canaryTrafficPercent": percent, "model": {"storageUri": storage}}
            },
        }
        changed: dict[str, Any] = self._ask("PATCH", f"{self._path}/{self.service}", content)
        return changed

    def _known(self) -> _Known | None:
        found = self._get(f"{self._maps_path}/{self._map_name}")
        if found is None:
            return None
        try:
            return _Known.from_json(json.loads(found["data"]["state"]))
        except (KeyError, ValueError, TypeError):
            raise TargetError(f"ConfigMap {self._map_name} was not written by a release") from None

    def _remember(self, known: _Known) -> None:
        content = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": self._map_name, "namespace": self.namespace},
            "data": {"state": json.dumps(known.to_json(), sort_keys=True)},
        }
        if self._get(f"{self._maps_path}/{self._map_name}") is None:
            self._ask("POST", self._maps_path, content)
        else:
            patch = {"data": content["data"]}
            self._ask("PATCH", f"{self._maps_path}/{self._map_name}", patch)

    def _get(self, path: str) -> dict[str, Any] | None:
        status, answer = self.api.ask("GET", path)
        if status == 404:
            return None
        if status != 200:
            raise _refusal(status, answer)
        found: dict[str, Any] = answer
        return found

    def _ask(self, method: str, path: str, content: Any) -> Any:
        kind = "merge-patch+json" if method == "PATCH" else "json"
        headers = {"Content-Type": f"application/{kind}"}
        status, answer = self.api.ask(method, f"{path}?fieldValidation=Strict", content, headers)
        if status >= 300:
            raise _refusal(status, answer)
        return answer


@dataclass(frozen=True)
class _Known:
    """What was told last: the version that last served everybody, the latest, and their routes.

    `told` is the latest one's storage and share, as the service should have them.
    """

    rolled_out: Servable
    latest: Servable
    routes: Routes | None
    told: tuple[str, int | None]

    def to_json(self) -> dict[str, Any]:
        return {
            "rolled_out": self.rolled_out.to_json(),
            "latest": self.latest.to_json(),
            "routes": self.routes.to_json() if self.routes is not None else None,
            "told": list(self.told),
        }

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> _Known:
        return cls(
            Servable.from_json(entry["rolled_out"]),
            Servable.from_json(entry["latest"]),
            Routes.from_json(entry["routes"]) if entry["routes"] else None,
            (entry["told"][0], entry["told"][1]),
        )


def _told(service: Mapping[str, Any]) -> tuple[str, int | None]:
    """Return what a service loads, and the share of that."""
    return service["spec"]["predictor"]["model"].get("storageUri", ""), _percent(service)


def _percent(service: Mapping[str, Any]) -> int | None:
    percent: int | None = service["spec"]["predictor"].get("canaryTrafficPercent")
    return percent


def _reason(service: Mapping[str, Any]) -> str:
    failure = ((service.get("status") or {}).get("modelStatus") or {}).get("lastFailureInfo") or {}
    return ": ".join(filter(None, (failure.get("reason"), failure.get("message"))))


def _refusal(status: int, answer: Any) -> AwayError | TargetError:
    text = f"Kubernetes refuses it with status {status}: {said(answer)}"
    # Somebody else has changed it since it was read: it is read and changed anew.
    return AwayError(text) if status == 409 else TargetError(text)
