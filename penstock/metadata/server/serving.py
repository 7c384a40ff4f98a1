"""A server of ML Metadata's own service API, by gRPC, in front of any store.

Its methods are those that the installed ml-metadata declares. Requests and responses pass through
it as they are. The store is opened in processes beside this one, so that no call keeps the server
from all else, its own end included. A request is awaited without a thread, and not for long: a
client that sends none holds up nobody.
"""

from __future__ import annotations

import asyncio
import hmac
import queue
import threading
import urllib.parse
from collections.abc import AsyncIterator, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

import grpc
import grpc.aio

from penstock import _tfx
from penstock.errors import StoreError
from penstock.metadata.databases.client import Store
from penstock.metadata.databases.database import Database
from penstock.metadata.databases.locking import WAIT_SECONDS
from penstock.metadata.databases.native import Answer
from penstock.metadata.databases.opening import database_of, open_store
from penstock.metadata.databases.patience import Patience, StoreAway
from penstock.metadata.databases.remote import SERVICE
from penstock.metadata.server.answering import answer

_METHODS = frozenset(
    _tfx.metadata_store_service_pb2.DESCRIPTOR.services_by_name[
        "MetadataStoreService"
    ].methods_by_name
)
_CODES = {code.value[0]: code for code in grpc.StatusCode}
# Calls under way at once; more wait in a queue.
_CALLS = 64
# Connections to a database server, each in a process of its own.
_CONNECTIONS = 4
_LARGEST_REQUEST = 256 * 2**20
# An error's text travels in a header, and clients take headers of up to 8 kB.
_LONGEST_TEXT = 4000
# A client is told soon that the store is away, and decides itself how long it waits.
_PATIENCE_SECONDS = 5.0
_CALL_SECONDS = 100.0
_REQUEST_SECONDS = 30.0

T = TypeVar("T")


@dataclass(frozen=True)
class Protection:
    """What protects a server: its certificate and key, who must have signed its clients', a token.

    All but the token are PEM.
    """

    certificate: bytes = b""
    key: bytes = field(default=b"", repr=False)
    client_roots: bytes = b""
    token: str = field(default="", repr=False)


class Server:
    """A server that has started; `where` is the store that it serves, as it may be shown."""

    def __init__(self, where: str, stores: _Stores, loop: _Loop, served: Any, port: int) -> None:
        self.where = where
        self.port = port
        self._stores = stores
        self._loop = loop
        self._served = served

    def stop(self, grace_seconds: float) -> None:
        """Take no more calls and wait for the end of those under way; cancel what takes longer."""
        self._loop.do(self._served.stop(grace_seconds))
        self._stores.close()
        self._loop.close()


def start(
    connection: _tfx.Connection,
    host: str,
    port: int,
    protection: Protection,
    *,
    request_seconds: float = _REQUEST_SECONDS,
) -> Server:
    """Serve a store; make it where there is none. Port 0 is one that is free.

    A call whose request does not come within `request_seconds` is ended.

    Raises:
      StoreError: the store cannot be used, or the server not be started so.
    """
    stores = _Stores(connection)
    loop = _Loop()

    async def begin() -> tuple[Any, int]:
        served = grpc.aio.server(
            handlers=[_Service(stores, protection.token, request_seconds)],
            options=[
                ("grpc.max_receive_message_length", _LARGEST_REQUEST),
                ("grpc.max_send_message_length", -1),
                # Else a second server could take every other call on the same port.
                ("grpc.so_reuseport", 0),
                ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
            ],
        )
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        bound = _bind(served, address, protection)
        await served.start()
        return served, bound

    try:
        served, bound = loop.do(begin())
    except BaseException:
        stores.close()
        loop.close()
        raise
    return Server(stores.database.where, stores, loop, served, bound)


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


class _Loop:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="grpc", daemon=True)
        self._thread.start()

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Return what comes of a coroutine."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class _Stores:
    """The store, opened as often as calls are made at once, and the threads that ask it."""

    def __init__(self, connection: _tfx.Connection) -> None:
        self._closed = threading.Event()
        patience = Patience(_PATIENCE_SECONDS, _CALL_SECONDS, self._check)
        self.database: Database = database_of(connection, WAIT_SECONDS, patience)
        self._all = [open_store(self.database, create=True, beside=True)]
        self._free: queue.LifoQueue[Store | None] = queue.LifoQueue()
        for _ in range(0 if self.database.locks_each_call else _CONNECTIONS - 1):
            self._free.put(None)  # opened when it is needed
        self._free.put(self._all[0])
        self.threads = ThreadPoolExecutor(_CALLS, thread_name_prefix="call")

    def answer(self, method_name: str, request: bytes, gone: threading.Event) -> Answer:
        """Answer a request, unless who asked is gone before its turn."""
        while not gone.is_set():
            try:
                store = self._free.get(timeout=1.0)
            except queue.Empty:
                continue
            try:
                store = store or self._another()
                return answer(store, method_name, request)
            except StoreError as error:
                return Answer(code=_tfx.ml_metadata.errors.UNAVAILABLE, text=str(error))
            finally:
                self._free.put(store)
        return Answer(code=_tfx.ml_metadata.errors.CANCELLED, text="nobody waits for it")

    def close(self) -> None:
        self._closed.set()
        self.threads.shutdown(cancel_futures=True)
        for store in self._all:
            store.close()

    def _another(self) -> Store:
        store = open_store(self.database, create=False, beside=True)
        self._all.append(store)
        return store

    def _check(self, _reason: str) -> None:
        if self._closed.is_set():
            raise StoreAway("the metadata server is stopped")


class _Service(grpc.GenericRpcHandler):
    """ML Metadata's service."""

    def __init__(self, stores: _Stores, token: str, request_seconds: float) -> None:
        self._stores = stores
        self._expected = f"Bearer {token}".encode() if token else b""
        self._request_seconds = request_seconds

    def service(self, handler_call_details: Any) -> Any:
        service, _, method_name = handler_call_details.method.removeprefix("/").partition("/")
        if service != SERVICE or method_name not in _METHODS:
            return None
        if not self._is_allowed(handler_call_details.invocation_metadata):
            # Refused before the request is read, which may be long.
            return grpc.stream_unary_rpc_method_handler(_refuse)

        async def answered(requests: AsyncIterator[bytes], context: Any) -> bytes:
            return await self._answer(method_name, requests, context)

        # As a stream, so that who reads the request says how long it may take to come.
        return grpc.stream_unary_rpc_method_handler(answered)

    def _is_allowed(self, metadata: Any) -> bool:
        if not self._expected:
            return True
        tokens = [value for key, value in metadata or () if key == "authorization"]
        tokens = [value.encode() if isinstance(value, str) else value for value in tokens]
        return len(tokens) == 1 and hmac.compare_digest(tokens[0], self._expected)

    async def _answer(
        self, method_name: str, requests: AsyncIterator[bytes], context: Any
    ) -> bytes:
        try:
            request = await asyncio.wait_for(anext(requests), self._request_seconds)
        except StopAsyncIteration:
            await context.abort(grpc.StatusCode.INTERNAL, "no request has come")
        except TimeoutError:
            await context.abort(
                grpc.StatusCode.DEADLINE_EXCEEDED,
                f"the request has not come within {self._request_seconds:g} seconds",
            )
        gone = threading.Event()
        try:
            answered = await asyncio.get_running_loop().run_in_executor(
                self._stores.threads, self._stores.answer, method_name, request, gone
            )
        finally:
            gone.set()
        if answered.code:
            code = _CODES.get(answered.code, grpc.StatusCode.UNKNOWN)
            await context.abort(code, as_detail(answered.text))
        return answered.response


async def _refuse(_requests: Any, context: Any) -> bytes:
    await context.abort(
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
