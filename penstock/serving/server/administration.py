"""What a release tells a server: to load a version, to let it answer, to take it away.

All of it needs the token that the server keeps in a file of its owner, and is idempotent: a
request whose answer was lost is sent again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from penstock.errors import DataError
from penstock.serving.protocols.form import parsed
from penstock.serving.routes import Routes, Servable
from penstock.serving.server import describing
from penstock.serving.server.asking import (
    DisconnectedError,
    TooLargeError,
    read_body,
    version_number,
)
from penstock.serving.server.models import RefusedError, ServedModel, model_named

PREFIX = "/penstock/v1/models/"
_MOST_BYTES = 1 << 20


def routes(models: Mapping[str, ServedModel]) -> list[Route]:
    """Return the addresses of the administration."""

    async def model(request: Request) -> Response:
        return JSONResponse(
            describing.of_administration(model_named(models, request.path_params["name"]))
        )

    async def prepare(request: Request) -> Response:
        servable = Servable.from_json(await _content(request))
        if servable.version != _version_in(request):
            raise DataError("the version of the body should be that of the address")
        found = model_named(models, request.path_params["name"])
        try:
            version = found.prepare(servable)
        except RefusedError as error:
            return _error(409, str(error))
        done = version.state != "loading"
        return JSONResponse(describing.of_administration(found), 200 if done else 202)

    async def remove(request: Request) -> Response:
        found = model_named(models, request.path_params["name"])
        try:
            number = _version_in(request)
            await found.remove(number, found.limits.request_seconds)
        except RefusedError as error:
            return _error(409, str(error))
        return JSONResponse(describing.of_administration(found))

    async def shift(request: Request) -> Response:
        found = model_named(models, request.path_params["name"])
        try:
            await found.shift(Routes.from_json(await _content(request)))
        except RefusedError as error:
            return _error(409, str(error))
        return JSONResponse(describing.of_administration(found))

    async def evidence(request: Request) -> Response:
        found = model_named(models, request.path_params["name"])
        seen = await found.evidence()
        if seen is None:
            return _error(409, f"{found.name} does not serve yet")
        return JSONResponse(seen.to_json())

    one = PREFIX + "{name}"
    return [
        Route(one, model),
        Route(one + "/versions/{version}", prepare, methods=["PUT"]),
        Route(one + "/versions/{version}", remove, methods=["DELETE"]),
        Route(one + "/routes", shift, methods=["PUT"]),
        Route(one + "/evidence", evidence),
    ]


def _version_in(request: Request) -> int:
    number = version_number(request.path_params["version"])
    if number is None:
        raise DataError("the address should have the number of a version")
    return number


async def _content(request: Request) -> Any:
    try:
        body = await read_body(request.receive, request.scope["headers"], _MOST_BYTES)
    except TooLargeError:
        raise DataError(f"the body may have {_MOST_BYTES} bytes") from None
    except DisconnectedError:  # half an order is none
        raise DataError("the body did not come") from None
    return parsed(body)


def _error(status: int, message: str) -> Response:
    return JSONResponse({"error": message}, status)
