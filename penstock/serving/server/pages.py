"""The addresses of a server that ask for no predictions: health, metadata, metrics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from penstock.errors import DataError
from penstock.serving.protocols.form import short
from penstock.serving.server import administration, describing
from penstock.serving.server.asking import version_number
from penstock.serving.server.models import ServedModel, UnknownModelError, model_named
from penstock.serving.server.versions import Version


@dataclass
class Standing:
    """Whether a server has begun, and whether it is about to end."""

    has_started: bool = False
    is_ending: bool = False


@dataclass(frozen=True)
class Pages:
    """What a server answers to who asks about it and its models."""

    models: Mapping[str, ServedModel]
    standing: Standing

    async def index(self, request: Request) -> Response:
        """List the models."""
        found = {
            name: {**describing.of_administration(model), "ask": f"POST /predict/{name}"}
            for name, model in self.models.items()
        }
        return JSONResponse({"models": found})

    async def live(self, request: Request) -> Response:
        """Say that the process answers."""
        return PlainTextResponse("alive\n")

    async def started(self, request: Request) -> Response:
        """Say whether all models have been loaded once, or cannot be."""
        return _readiness(self.standing.has_started, "started", "starting")

    async def ready(self, request: Request) -> Response:
        """Say whether all models answer."""
        if self.standing.is_ending:
            return _readiness(False, "", "ending")
        unready = [name for name, model in self.models.items() if not model.is_ready]
        return _readiness(not unready, "ready", f"not ready: {', '.join(unready)}")

    async def server(self, request: Request) -> Response:
        """Return the server's metadata of the Open Inference Protocol."""
        return JSONResponse(describing.server_of_inference())

    async def model_ready(self, request: Request) -> Response:
        """Say whether a version answers."""
        _, _, version = self._asked(request)
        return _readiness(version.is_ready, "ready", version.state)

    async def inference_metadata(self, request: Request) -> Response:
        """Return a model's metadata of the Open Inference Protocol."""
        model, _, version = self._asked(request)
        return JSONResponse(describing.model_of_inference(model, version))

    async def status(self, request: Request) -> Response:
        """Return a model's status as TensorFlow Serving does."""
        model = model_named(self.models, request.path_params["name"])
        number = _version_in(request)
        if number is not None and number not in model.versions:
            raise UnknownModelError(f"{model.name} has no version {number} here")
        return JSONResponse(describing.status(model, number))

    async def metadata(self, request: Request) -> Response:
        """Return a model's metadata as TensorFlow Serving does."""
        return JSONResponse(describing.metadata(*self._asked(request)))

    async def rows(self, request: Request) -> Response:
        """Say how a model is asked by rows."""
        return JSONResponse(describing.of_rows(*self._asked(request)))

    async def metrics(self, request: Request) -> Response:
        """Return the metrics."""
        return Response(describing.metrics(self.models), media_type="text/plain; version=0.0.4")

    def _asked(self, request: Request) -> tuple[ServedModel, int, Version]:
        model = model_named(self.models, request.path_params["name"])
        number = _version_in(request)
        if number is None and model.routes is not None:
            number = model.routes.production
        version = model.versions.get(number) if number is not None else None
        if version is None or number is None:
            said = "is not ready" if number is None else f"has no version {number} here"
            raise UnknownModelError(f"{model.name} {said}")
        return model, number, version


def others(models: Mapping[str, ServedModel], standing: Standing) -> Starlette:
    """Return what answers all that asks for no predictions."""
    pages = Pages(models, standing)
    routes = {
        "/": pages.index,
        "/healthz": pages.live,
        "/livez": pages.live,
        "/startupz": pages.started,
        "/readyz": pages.ready,
        "/metrics": pages.metrics,
        "/predict/{name}": pages.rows,
        "/v1/models/{name}": pages.status,
        "/v1/models/{name}/metadata": pages.metadata,
        "/v1/models/{name}/versions/{version}": pages.status,
        "/v1/models/{name}/versions/{version}/metadata": pages.metadata,
        "/v2": pages.server,
        "/v2/health/live": pages.live,
        "/v2/health/ready": pages.ready,
        "/v2/models/{name}": pages.inference_metadata,
        "/v2/models/{name}/ready": pages.model_ready,
        "/v2/models/{name}/versions/{version}": pages.inference_metadata,
        "/v2/models/{name}/versions/{version}/ready": pages.model_ready,
    }
    return Starlette(
        routes=[
            *(Route(path, page) for path, page in routes.items()),
            *administration.routes(models),
        ],
        exception_handlers={
            UnknownModelError: _not_found,
            DataError: _wrong,
            404: _nothing_there,
            405: _no_such_method,
            500: _failed,
        },
    )


def _version_in(request: Request) -> int | None:
    text = request.path_params.get("version")
    if text is None:
        return None
    number = version_number(text)
    if number is None:
        raise UnknownModelError(f"expected the number of a version, got {short(text)}")
    return number


def _readiness(is_so: bool, words: str, otherwise: str) -> Response:
    return PlainTextResponse(f"{words if is_so else otherwise}\n", 200 if is_so else 503)


async def _not_found(_: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, 404)


async def _wrong(_: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, 400)


async def _nothing_there(request: Request, _: Exception) -> Response:
    known = "/predict/NAME, /v1/models/NAME:predict and /v2/models/NAME/infer"
    said = f"there is nothing at {request.method} {request.url.path}; predictions are at {known}"
    return JSONResponse({"error": said}, 404)


async def _no_such_method(request: Request, _: Exception) -> Response:
    said = f"{request.method} is no way to ask {request.url.path}"
    return JSONResponse({"error": said}, 405)


async def _failed(_: Request, error: Exception) -> Response:
    return JSONResponse({"error": f"the server failed: {type(error).__name__}"}, 500)
