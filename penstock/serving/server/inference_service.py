"""The Open Inference Protocol over gRPC: what the addresses below /v2 give, for gRPC's callers."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import grpc
from open_inference.grpc import protocol, service

from penstock.errors import ConfigError, DataError
from penstock.safety.bearer import is_bearer
from penstock.serving.protocols import INFER
from penstock.serving.protocols.inference_messages import body_of, fill
from penstock.serving.server import describing
from penstock.serving.server.asking import Asking, asked_of_model, refusal, version_number
from penstock.serving.server.bodies import BodyShare
from penstock.serving.server.models import (
    OverloadedError,
    ServedModel,
    UnknownModelError,
    model_named,
)
from penstock.serving.server.pages import Standing
from penstock.serving.server.versions import Version

_CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    404: grpc.StatusCode.NOT_FOUND,
    413: grpc.StatusCode.INVALID_ARGUMENT,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}
# Beyond the tensors a message has names, shapes and its own framing.
_ROOM = 1 << 20


class InferenceService(service.GRPCInferenceServiceServicer):
    """Answers for models; with a `token`, those who have it."""

    def __init__(
        self, models: Mapping[str, ServedModel], standing: Standing, token: str = ""
    ) -> None:
        self._models, self._standing, self._token = models, standing, token

    async def ServerLive(self, request: Any, context: Any) -> Any:
        """Say that the process answers."""
        return protocol.ServerLiveResponse(live=True)

    async def ServerReady(self, request: Any, context: Any) -> Any:
        """Say whether all models answer."""
        ready = all(model.is_ready for model in self._models.values())
        return protocol.ServerReadyResponse(ready=ready and not self._standing.is_ending)

    async def ModelReady(self, request: Any, context: Any) -> Any:
        """Say whether a version answers."""
        await self._let_in(context)
        _, version = await self._asked(request.name, request.version, context)
        return protocol.ModelReadyResponse(ready=version is not None and version.is_ready)

    async def ServerMetadata(self, request: Any, context: Any) -> Any:
        """Return the server's metadata."""
        await self._let_in(context)
        return protocol.ServerMetadataResponse(**describing.server_of_inference())

    async def ModelMetadata(self, request: Any, context: Any) -> Any:
        """Return a model's metadata."""
        await self._let_in(context)
        model, version = await self._asked(request.name, request.version, context)
        if version is None:
            return await context.abort(grpc.StatusCode.UNAVAILABLE, f"{model.name} is not ready")
        return protocol.ModelMetadataResponse(**describing.model_of_inference(model, version))

    async def ModelInfer(self, request: Any, context: Any) -> Any:
        """Return predictions."""
        await self._let_in(context)
        started = time.monotonic()
        model, _ = await self._asked(request.model_name, request.model_version, context)
        number = version_number(request.model_version)
        status, said = 429, refusal(model)
        seen: dict[str, Any] = {}
        response = protocol.ModelInferResponse()
        if said is None:
            try:
                body, head = body_of(request)
                with BodyShare(model) as share:
                    share.add(len(body))
                    asked = Asking(model, INFER, number)
                    headers = _headers(context)
                    answer, seen = await asked_of_model(asked, body, head, headers, started)
            except DataError as error:
                status, said = 400, str(error)
            except OverloadedError as error:
                said = str(error)
            else:
                status = answer.status
                if status == 200:
                    is_raw = bool(request.raw_input_contents)
                    fill(response, answer.body, answer.head, is_raw=is_raw)
                else:
                    said = json.loads(answer.body)["error"]
        taken = time.monotonic() - started
        model.answered(
            seen.get("version", 0),
            seen.get("role", ""),
            status,
            taken,
            seen.get("work", 0.0),
            seen.get("rows", 0),
            headers=_headers(context),
            protocol="grpc",
        )
        if status != 200:
            await context.abort(_CODES.get(status, grpc.StatusCode.INTERNAL), said)
        return response

    async def _let_in(self, context: Any) -> None:
        if not self._token:
            return
        given = next((v for k, v in context.invocation_metadata() if k == "authorization"), "")
        if not is_bearer(_bytes(given), self._token):
            await context.abort(
                grpc.StatusCode.UNAUTHENTICATED,
                "expected the metadata authorization: Bearer, with the server's token",
            )

    async def _asked(
        self, name: str, number: str, context: Any
    ) -> tuple[ServedModel, Version | None]:
        """Return a model and its version that is meant, that of production by default."""
        try:
            model = model_named(self._models, name)
        except UnknownModelError as error:
            await context.abort(grpc.StatusCode.NOT_FOUND, str(error))
        if number:
            version = version_number(number)
            if version is None or version not in model.versions:
                known = ", ".join(map(str, sorted(model.versions))) or "none"
                said = f"there is no version {number[:40]} of {name} here, but {known}"
                await context.abort(grpc.StatusCode.NOT_FOUND, said)
                return model, None
            return model, model.versions[version]
        return model, model.versions.get(model.routes.production) if model.routes else None


def _headers(context: Any) -> list[tuple[bytes, bytes]]:
    return [(key.encode(), _bytes(value)) for key, value in context.invocation_metadata()]


def _bytes(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode()


async def started(
    answering: InferenceService,
    host: str,
    port: int,
    most_bytes: int,
    *,
    certificate: str | None = None,
    key: str | None = None,
    client_authorities: str | None = None,
) -> tuple[grpc.aio.Server, int]:
    """Start a server of the service, and return it with its port.

    Raises:
      ConfigError: the port cannot be used.
    """
    options = [("grpc.max_receive_message_length", most_bytes + _ROOM), ("grpc.so_reuseport", 0)]
    server = grpc.aio.server(options=options)
    service.add_GRPCInferenceServiceServicer_to_server(answering, server)  # type: ignore[no-untyped-call]  # generated
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        if certificate and key:
            authorities = Path(client_authorities).read_bytes() if client_authorities else None
            credentials = grpc.ssl_server_credentials(
                [(Path(key).read_bytes(), Path(certificate).read_bytes())],
                root_certificates=authorities,
                require_client_auth=authorities is not None,
            )
            bound = server.add_secure_port(address, credentials)
        else:
            bound = server.add_insecure_port(address)
    except RuntimeError as error:
        raise ConfigError(
            f"{address} cannot be used: {str(error).splitlines()[0]}",
            hint="Give another --grpc-port; 0 is any that is free.",
        ) from None
    await server.start()
    return server, bound
