"""A server of ML Metadata's own service API, by gRPC, in front of any store.

Its methods are those that the installed ml-metadata declares. Requests and responses pass through
it as they are; the work is done by processes that have the store open (`server_worker`).
"""

from __future__ import annotations

import hmac
import multiprocessing
import threading
import urllib.parse
from collections.abc import Callable
from concurrent.futures import CancelledError, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from typing import Any

import grpc

from penstock import _tfx
from penstock.errors import StoreError
from penstock.metadata.databases.client import database_of, open_store
from penstock.metadata.databases.remote import SERVICE
from penstock.metadata.server import worker as server_worker
from penstock.metadata.server.worker import Answer

_METHODS = frozenset(
    _tfx.metadata_store_service_pb2.DESCRIPTOR.services_by_name[
        "MetadataStoreService"
    ].methods_by_name
)
_CODES = {code.value[0]: code for code in grpc.StatusCode}
# Calls under way at once; more wait in a queue.
_CALLS = 64
# Processes that each have a connection of their own to a database server.
_PROCESSES = 4
_LARGEST_REQUEST = 256 * 2**20
# An error's text travels in a header, and clients take headers of up to 8 kB.
_LONGEST_TEXT = 4000


@dataclass(frozen=True)
class Protection:
    """What protects a server: its certificate and key, who must have signed its clients', a token.

    All but the token are PEM.
    """

    certificate: bytes = b""
    key: bytes = field(default=b"", repr=False)
    client_roots: bytes = b""
    token: str = field(default="", repr=False)


@dataclass(frozen=True)
class Server:
    """A server that has started; `where` is the store that it serves, as it may be shown."""

    where: str
    port: int
    _grpc: Any
    _workers: _Workers

    def stop(self, grace_seconds: float) -> None:
        """Take no more calls and wait for the end of those under way; cancel what takes longer."""
        self._grpc.stop(grace_seconds).wait()
        self._workers.close()


def start(connection: _tfx.Connection, host: str, port: int, protection: Protection) -> Server:
    """Serve a store; make it where there is none. Port 0 is one that is free.

    Raises:
      StoreError: the store cannot be used, or the server not be started so.
    """
    database = database_of(connection)
    open_store(database, create=True)
    workers = _Workers(connection, 1 if database.locks_each_call else _PROCESSES)
    server = grpc.server(
        ThreadPoolExecutor(_CALLS, thread_name_prefix="call"),
        handlers=[_Service(workers, protection.token)],
        options=[
            ("grpc.max_receive_message_length", _LARGEST_REQUEST),
            ("grpc.max_send_message_length", -1),
            # Else a second server could take every other call on the same port.
            ("grpc.so_reuseport", 0),
            ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
        ],
    )
    try:
        bound = _bind(server, f"[{host}]:{port}" if ":" in host else f"{host}:{port}", protection)
        server.start()
    except BaseException:
        workers.close()
        raise
    return Server(database.where, bound, server, workers)


def _bind(server: Any, address: str, protection: Protection) -> int:
    bound = 0
    try:
        if protection.certificate:
            credentials = grpc.ssl_server_credentials(
                [(protection.key, protection.certificate)],
                protection.client_roots or None,
                require_client_auth=bool(protection.client_roots),
            )
            bound = server.add_secure_port(address, credentials)
        else:
            bound = server.add_insecure_port(address)
    except (RuntimeError, ValueError):
        bound = 0
    if not bound:
        raise StoreError(
            f"the metadata server cannot be started at {address}",
            hint="Another program may use the port, the host may be none of this machine's, or "
            "the certificate and the key do not belong together. --port 0 takes a free port.",
        )
    return int(bound)


class _Workers:
    """The processes that answer; new ones where they were killed or crashed."""

    def __init__(self, connection: _tfx.Connection, processes: int) -> None:
        self._connection = connection
        self._processes = processes
        self._lock = threading.Lock()
        self._pool = self._new_pool()

    def answer(self, method_name: str, request: bytes, is_wanted: Callable[[], bool]) -> Answer:
        pool = self._pool
        try:
            pending = pool.submit(server_worker.answer, method_name, request)
            while True:
                try:
                    return pending.result(timeout=1.0)
                except TimeoutError:
                    # One that is still in the queue is taken out of it.
                    if not is_wanted() and pending.cancel():
                        raise
        except BrokenProcessPool:
            self._replace(pool)
            return Answer(
                code=_tfx.ml_metadata.errors.UNAVAILABLE,
                text="a process of the metadata server's was killed or could not open the store",
            )
        except (TimeoutError, CancelledError):
            return Answer(code=_tfx.ml_metadata.errors.CANCELLED, text="nobody waits for it")

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)

    def _replace(self, broken: ProcessPoolExecutor) -> None:
        with self._lock:
            if self._pool is broken:
                self._pool = self._new_pool()

    def _new_pool(self) -> ProcessPoolExecutor:
        # Forked from a process that has imported what is needed and never used gRPC.
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([server_worker.__name__])
        return ProcessPoolExecutor(
            self._processes, context, server_worker.start, (self._connection,)
        )


class _Service(grpc.GenericRpcHandler):
    """ML Metadata's service."""

    def __init__(self, workers: _Workers, token: str) -> None:
        self._workers = workers
        self._expected = f"Bearer {token}".encode() if token else b""

    def service(self, handler_call_details: Any) -> Any:
        service, _, method_name = handler_call_details.method.removeprefix("/").partition("/")
        if service != SERVICE or method_name not in _METHODS:
            return None
        if not self._is_allowed(handler_call_details.invocation_metadata):
            # Refused before the request is read, which may be long.
            return grpc.stream_unary_rpc_method_handler(_refuse)
        return grpc.unary_unary_rpc_method_handler(
            lambda request, context: self._answer(method_name, request, context)
        )

    def _is_allowed(self, metadata: Any) -> bool:
        if not self._expected:
            return True
        tokens = [value for key, value in metadata or () if key == "authorization"]
        tokens = [value.encode() if isinstance(value, str) else value for value in tokens]
        return len(tokens) == 1 and hmac.compare_digest(tokens[0], self._expected)

    def _answer(self, method_name: str, request: bytes, context: Any) -> bytes:
        if not context.is_active():
            return b""
        answer = self._workers.answer(method_name, request, context.is_active)
        if answer.code:
            context.abort(_CODES.get(answer.code, grpc.StatusCode.UNKNOWN), as_detail(answer.text))
        return answer.response


def _refuse(_requests: Any, context: Any) -> bytes:
    context.abort(
        grpc.StatusCode.UNAUTHENTICATED,
        "this metadata server asks for a token, and none came or not the right one: send it as "
        "`authorization: Bearer TOKEN`",
    )
    return b""


def as_detail(text: str) -> str:
    """Return as much of an error's text as fits into a header, in which it is percent-encoded."""
    room = _LONGEST_TEXT
    for index, character in enumerate(text):
        room -= len(urllib.parse.quote(character, safe="", errors="replace"))
        if room < 0:
            return f"{text[:index]}..."
    return text
