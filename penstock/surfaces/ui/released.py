"""Pages of releases: how each stands, who has decided what, and on which evidence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from penstock.errors import RunError
from penstock.metadata.protocol import Store
from penstock.operations.releases import records
from penstock.operations.releases.records import Release
from penstock.report import shadows
from penstock.serving.evidence import Evidence
from penstock.serving.routes import CANARY, SHADOW

_MOST_RELEASES = 200


@dataclass(frozen=True)
class ReleasedPages:
    """Pages over a store; `page` renders a template with what it is to show."""

    store: Store
    page: Callable[..., Response]

    def releases(self, request: Request) -> Response:
        """List releases and rollbacks, the newest first; those under way with their stage."""
        listed = records.history(self.store)[:_MOST_RELEASES]
        shown = [one if one.is_over else records.with_steps(self.store, one) for one in listed]
        return self.page("releases.html", releases=shown)

    def release(self, request: Request) -> Response:
        """Show a release: its steps, and the evidence that was seen last."""
        parameters = request.path_params
        found = records.find_release(self.store, parameters["deployment"], parameters["number"])
        if found is None:
            raise RunError(f"{parameters['deployment']} has no release {parameters['number']}")
        return self.page("release.html", one=found, gates=_gates(found), shown=_shown(found))


def _gates(release: Release) -> list[dict[str, str]]:
    for step in reversed(release.steps):
        if step.intent.get("gates"):
            return list(step.intent["gates"])
    return []


def _shown(release: Release) -> shadows.Shown | None:
    for step in reversed(release.steps):
        if step.intent.get("evidence"):
            evidence = Evidence.from_json(step.intent["evidence"])
            role = CANARY if CANARY in evidence.answers else SHADOW
            return shadows.shown(evidence, role)
    return None
