"""Pages of registered models and of what was deployed: read from the store when asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from penstock import registry
from penstock.metadata.protocol import Store
from penstock.operations.delivery import records
from penstock.registry.integrity import harm
from penstock.report.wording import recorded

_MOST_DEPLOYMENTS = 200


@dataclass(frozen=True)
class DeliveredPages:
    """Pages over a store; `page` renders a template with what it is to show."""

    store: Store
    page: Callable[..., Response]

    def models(self, request: Request) -> Response:
        """List the registered models with what their aliases stand for."""
        return self.page("models.html", models=registry.read_models(self.store))

    def model(self, request: Request) -> Response:
        """Show a model: its versions, and the history of its aliases."""
        model = registry.read_model(self.store, request.path_params["model"])
        return self.page("model.html", model=model)

    def version(self, request: Request) -> Response:
        """Show a version: what made it, and whether its files are as they were."""
        model = registry.read_model(self.store, request.path_params["model"])
        version = model.version(request.path_params["version"])
        before = next((v for v in reversed(model.versions) if v.number < version.number), None)
        return self.page(
            "version.html",
            model=model,
            version=version,
            aliases=model.aliases_of(version.number),
            harm=harm(self.store, version),
            before=before,
            differences=registry.difference(before, version) if before else (),
            shown=recorded,
        )

    def deployments(self, request: Request) -> Response:
        """List deployments, refusals, approvals and rollbacks, the newest first."""
        listed = records.history(self.store)[:_MOST_DEPLOYMENTS]
        return self.page("deployments.html", records=listed)

    def deployment(self, request: Request) -> Response:
        """Show a deployment: its gates, its run, and what it has brought."""
        parameters = request.path_params
        found = records.deployments(self.store, parameters["environment"], parameters["pipeline"])
        one = next((d for d in found if d.number == parameters["number"]), None)
        if one is None:
            raise registry.RegistryError(
                f"{parameters['environment']} has no deployment {parameters['number']} of "
                f"{parameters['pipeline']}"
            )
        return self.page("deployment.html", one=one)
