"""A server from its start to its end: listening, following, draining."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import secrets
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import uvicorn

from penstock.errors import ConfigError
from penstock.opentelemetry.predictions import AnswerTelemetry
from penstock.safety.locks import lock
from penstock.serving.log.policy import LogPolicy
from penstock.serving.server.application import Application
from penstock.serving.server.connections import BoundedConnection
from penstock.serving.server.following import Follower
from penstock.serving.server.limits import Limits
from penstock.serving.server.measuring import measurers_of
from penstock.serving.server.models import ServedModel
from penstock.serving.server.pages import Standing
from penstock.serving.server.recording import recorders_of
from penstock.serving.server.state import write_json
from penstock.serving.sources import Source

_log = logging.getLogger("penstock.serving")

SERVER_FILE = "server.json"
_LOCK_FILE = ".lock"
_EXPIRE_SECONDS = 0.1
_BACKLOG = 2048


@dataclass(frozen=True)
class Address:
    """Where a server listens, and who may ask it.

    `certificate` and `key` are files for TLS, `client_authorities` that of those whose certificates
    callers must have. `drain_seconds` is how long a server that is told to end still answers, while
    it says that it is not ready. `grpc_port` is for the Open Inference Protocol over gRPC.
    """

    host: str = "127.0.0.1"
    port: int = 0
    token: str = ""
    certificate: str | None = None
    key: str | None = None
    client_authorities: str | None = None
    drain_seconds: float = 0.0
    grpc_port: int | None = None

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine reaches it."""
        return self.host in ("127.0.0.1", "localhost", "::1")


class Server(uvicorn.Server):
    """Serves models until it is told to end.

    `announce` is told the address once the server listens. `folder` keeps what has to outlive it;
    there, in a file for its owner alone, is how a release reaches it. `logs` are those of models
    by name; the others' predictions are not kept. `telemetry` is told of all answers.
    """

    def __init__(
        self,
        sources: Mapping[str, Source],
        address: Address,
        limits: Limits,
        folder: Path,
        *,
        logs: Mapping[str, LogPolicy] | None = None,
        telemetry: AnswerTelemetry | None = None,
        measure_seconds: float = 60.0,
        look_seconds: float,
        announce: Callable[[str], None],
    ) -> None:
        recorders = recorders_of(logs or {})
        self._models = {
            name: ServedModel(name, limits, folder, recorders.get(name), telemetry=telemetry)
            for name in sources
        }
        self._telemetry = telemetry
        self._measurers = measurers_of(self._models, measure_seconds)
        self._followers = [
            Follower(self._models[name], source, look_seconds) for name, source in sources.items()
        ]
        self._address, self._folder, self._announce = address, folder, announce
        self._standing = Standing()
        self._own_token = secrets.token_urlsafe(24)
        self._limits, self._grpc = limits, None
        self._tasks: list[asyncio.Task[Any]] = []
        application = Application(
            self._models,
            self._standing,
            own_token=self._own_token,
            token=address.token,
            only_loopback=address.is_loopback,
        )
        super().__init__(
            uvicorn.Config(
                application,
                host=address.host,
                port=address.port,
                loop="uvloop",
                http=partial(BoundedConnection, patience=limits.request_seconds),  # type: ignore[arg-type]  # called alone
                ws="none",
                lifespan="off",
                log_config=None,
                log_level="warning",
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=max(1, int(limits.request_seconds) + 1),
                ssl_certfile=address.certificate,
                ssl_keyfile=address.key,
                ssl_ca_certs=address.client_authorities,
                ssl_cert_reqs=2 if address.client_authorities else 0,
            )
        )

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until it is told to end.

        Raises:
          ConfigError: the port, or a certificate, cannot be used, or another server has the folder.
        """
        self._load_certificates()
        with _alone(self._folder):
            super().run(sockets or [_listening(self._address)])

    def _load_certificates(self) -> None:
        try:
            self.config.load()
        except (ssl.SSLError, ValueError) as error:
            address = self._address
            files = [address.certificate, address.key, address.client_authorities]
            raise ConfigError(
                f"{', '.join(file for file in files if file)}: expected certificates and the key "
                f"of the first, in PEM: {error}",
                hint="--tls-certificate, --tls-key and --tls-client-ca name a file each.",
            ) from error

    async def startup(self, sockets: Any = None) -> None:
        """Listen, and begin to load."""
        await super().startup(sockets)
        if not self.started:
            return
        for measurer in self._measurers:
            await measurer.recorder.start()
        [listening, *_] = self.servers[0].sockets
        scheme = "https" if self._address.certificate else "http"
        host = self._address.host if self._address.host not in ("0.0.0.0", "::") else "127.0.0.1"
        host = f"[{host}]" if ":" in host else host
        url = f"{scheme}://{host}:{listening.getsockname()[1]}"
        known: dict[str, Any] = {"url": url, "token": self._own_token, "pid": os.getpid()}
        if self._address.grpc_port is not None:
            known["grpc"] = f"{host}:{await self._start_grpc(self._address.grpc_port)}"
        write_json(self._folder / SERVER_FILE, known)
        self._tasks = [
            asyncio.create_task(self._expire()),
            *(asyncio.create_task(self._follow(follower)) for follower in self._followers),
            asyncio.create_task(self._see_start(url)),
        ]
        self._tasks += [asyncio.create_task(measurer.go_on()) for measurer in self._measurers]

    async def shutdown(self, sockets: Any = None) -> None:
        """End what is going on, and then the workers."""
        ending = [super().shutdown(sockets)]
        if self._grpc is not None:
            ending.append(self._grpc.stop(self._limits.request_seconds))
        await asyncio.gather(*ending)
        for task in self._tasks:
            task.cancel()
        for measurer in self._measurers:
            measurer.measure()
        await asyncio.gather(*(model.stop() for model in self._models.values()))
        await asyncio.gather(*(measurer.recorder.stop() for measurer in self._measurers))
        if self._telemetry is not None:
            await asyncio.to_thread(self._telemetry.close)
        with suppress(FileNotFoundError):
            os.unlink(self._folder / SERVER_FILE)

    async def _start_grpc(self, port: int) -> int:
        from penstock.serving.server import inference_service

        address = self._address
        answering = inference_service.InferenceService(self._models, self._standing, address.token)
        self._grpc, bound = await inference_service.started(
            answering,
            address.host,
            port,
            self._limits.body_bytes,
            certificate=address.certificate,
            key=address.key,
            client_authorities=address.client_authorities,
        )
        return bound

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """End: at once, or after it has said for a while that it is not ready."""
        first, self._standing.is_ending = not self._standing.is_ending, True
        if first and self._address.drain_seconds:
            loop = self._tasks[0].get_loop()
            end = super().handle_exit
            loop.call_soon_threadsafe(
                lambda: loop.call_later(self._address.drain_seconds, end, sig, None)
            )
            return
        super().handle_exit(sig, frame)

    async def _follow(self, follower: Follower) -> None:
        while True:
            try:
                await follower.follow()
            except Exception:  # what serves goes on
                _log.exception("%s is not followed for a while", follower.model.name)
                await asyncio.sleep(follower.seconds)

    async def _expire(self) -> None:
        while True:
            await asyncio.sleep(_EXPIRE_SECONDS)
            now = time.monotonic()
            for model in self._models.values():
                model.expire(now)

    async def _see_start(self, url: str) -> None:
        """Tell the address when all models answer, or cannot."""
        self._announce(url)
        while not all(model.is_ready or model.trouble for model in self._models.values()):
            await asyncio.sleep(0.05)
        self._standing.has_started = True
        # What is there now stays: the collector need not look at it again and again.
        gc.collect()
        gc.freeze()


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold a folder, which the system gives back when this process ends, however it ends."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with open(folder / _LOCK_FILE, "w", encoding="ascii") as file:
        if not lock(file.fileno(), 0):
            raise ConfigError(
                f"another server keeps its state in {folder}",
                hint="Give this one a folder of its own: --state FOLDER.",
            )
        yield


def _reason(error: OSError) -> str:
    number = error.errno or 0
    # Those below are of names that nobody knows.
    return os.strerror(number) if number > 0 else "it is no address of this machine"


def _listening(address: Address) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    try:
        return socket.create_server((address.host, address.port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise ConfigError(
            f"{address.host}:{address.port} cannot be used: {_reason(error)}",
            hint="Give another --port, or none: then it is any that is free.",
        ) from error
