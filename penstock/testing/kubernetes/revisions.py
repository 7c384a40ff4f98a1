"""The revisions of an InferenceService, and who is answered by which, as KServe has it on Knative.

Each change of the predictor but of its share makes a revision. Without a share the latest revision
that is ready answers everybody, and is rolled out then. With one it gets that share, and the last
one that was rolled out, or the one before where it is that itself, answers the others.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# What is no part of what pods are made from.
_NOT_OF_PODS = ("canaryTrafficPercent",)


@dataclass
class Revisions:
    """What Knative has of one service."""

    name: str
    storages: dict[str, str] = field(default_factory=dict)
    ready: set[str] = field(default_factory=set)
    created: str = ""
    latest_ready: str = ""
    rolled_out: str = ""
    previous: str = ""
    template: Any = None
    traffic: list[dict[str, Any]] = field(default_factory=list)

    def follow(self, service: dict[str, Any], *, broken: set[str], slow: set[str]) -> None:
        """Bring revisions and traffic to what a service asks for, and write its status."""
        predictor = service["spec"]["predictor"]
        template = {key: value for key, value in predictor.items() if key not in _NOT_OF_PODS}
        annotations = service["metadata"].get("annotations")
        if (template, annotations) != self.template:
            self.template = copy.deepcopy((template, annotations))
            self.created = f"{self.name}-predictor-{len(self.storages) + 1:05}"
            self.storages[self.created] = predictor["model"].get("storageUri", "")
        storage = self.storages[self.created]
        if storage not in broken | slow:
            self.latest_ready = self.created
        self._split(predictor.get("canaryTrafficPercent"))
        service["status"] = self._status(service, is_broken=storage in broken)

    def serving(self) -> dict[str, int]:
        """Return how many percent of the callers each storage answers."""
        shares: dict[str, int] = {}
        for target in self.traffic:
            if target["percent"]:
                storage = self.storages[target["revisionName"]]
                shares[storage] = shares.get(storage, 0) + target["percent"]
        return shares

    def _split(self, percent: int | None) -> None:
        if not self.latest_ready:
            return
        other = self.rolled_out if self.rolled_out != self.latest_ready else self.previous
        if percent is None or percent == 100 or not other:
            self.traffic = [_share(self.latest_ready, 100, is_latest=True)]
            if self.latest_ready == self.created and self.rolled_out != self.latest_ready:
                self.previous, self.rolled_out = self.rolled_out, self.latest_ready
            return
        self.traffic = [
            _share(self.latest_ready, percent, is_latest=True),
            _share(other, 100 - percent, is_latest=False),
        ]

    def _status(self, service: Mapping[str, Any], *, is_broken: bool) -> dict[str, Any]:
        is_ready = self.created == self.latest_ready
        transition = (
            "BlockedByFailedLoad" if is_broken else "UpToDate" if is_ready else "InProgress"
        )
        model: dict[str, Any] = {"transitionStatus": transition}
        if is_broken:
            model["lastFailureInfo"] = {
                "reason": "ModelLoadFailed",
                "message": "the model does not load",
                "modelRevisionName": self.created,
            }
        known = {
            "latestCreatedRevision": self.created,
            "latestReadyRevision": self.latest_ready,
            "latestRolledoutRevision": self.rolled_out,
            "previousRolledoutRevision": self.previous,
        }
        component = {key: value for key, value in known.items() if value}
        return {
            "observedGeneration": service["metadata"]["generation"],
            "components": {"predictor": {**component, "traffic": copy.deepcopy(self.traffic)}},
            "modelStatus": model,
            "conditions": [
                {"type": "PredictorReady", "status": "True" if self.latest_ready else "False"}
            ],
        }


def _share(revision: str, percent: int, *, is_latest: bool) -> dict[str, Any]:
    tag = {} if is_latest else {"tag": "prev"}
    return {"revisionName": revision, "percent": percent, "latestRevision": is_latest, **tag}
