"""A server of ML Metadata's own service API, by gRPC, in front of any store.

Its methods are those that the installed ml-metadata declares. Requests and responses pass through
it as they are. The store is opened in processes beside this one, so that no call keeps the server
from all else, its own end included. A request is not awaited for long: a client that sends none
holds up nobody.
"""

from __future__ import annotations

import hmac
import queue
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import grpc

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
# Calls under way at once; more are refused. Each has a thread, which mostly waits.
_CALLS = 1000
# Connections to a database server, each in a process of its own.
_CONNECTIONS = 4
_LARGEST_REQUEST = 256 * 2**20
# An error's text travels in a header, and clients take headers of up to 8 kB.
_LONGEST_TEXT = 4000
# A client is told soon that the store is away, and decides itself how long it waits.
_PATIENCE_SECONDS = 5.0
_CALL_SECONDS = 100.0
_REQUEST_SECONDS = 30.0


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

    def __init__(self, where: str, stores: _Stores, limit: _Limit, served: Any, port: int) -> None:
        self.where = where
        self.port = port
        self._stores = stores
        self._limit = limit
        self._served = served

    def stop(self, grace_seconds: float) -> None:
        """Take no more calls and wait for the end of those under way; cancel what takes longer."""
        self._served.stop(grace_seconds).wait()
        self._limit.close()
        self._stores.close()


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
    stores, limit = _Stores(connection), _Limit(request_seconds)
    served = grpc.server(
        ThreadPoolExecutor(_CALLS, thread_name_prefix="call"),
        handlers=[_Service(stores, protection.token, limit)],
        maximum_concurrent_rpcs=_CALLS,
        options=[
            ("grpc.max_receive_message_length", _LARGEST_REQUEST),
            ("grpc.max_send_message_length", -1),
            # Else a second server could take every other call on the same port.
            ("grpc.so_reuseport", 0),
            ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
        ],
    )
    try:
        bound = _bind(served, f"[{host}]:{port}" if ":" in host else f"{host}:{port}", protection)
        served.start()
    except BaseException:
        limit.close()
        stores.close()
        raise
    return Server(stores.database.where, stores, limit, served, bound)


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


class _Limit:
    """Cancels calls whose requests take too long to come; all are given the same time."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._waiting: queue.SimpleQueue[tuple[float, threading.Event, Any] | None]
        self._waiting = queue.SimpleQueue()
        threading.Thread(target=self._watch, name="limit", daemon=True).start()

    def first(self, requests: Iterator[bytes], context: Any) -> bytes:
        """Return the request of a call.

        Raises:
          StopIteration: there is none.
          grpc.RpcError: it has not come in time, or who asked is gone.
        """
        has_come = threading.Event()
        self._waiting.put((time.monotonic() + self._seconds, has_come, context))
        try:
            return next(requests)
        finally:
            has_come.set()

    def close(self) -> None:
        self._waiting.put(None)

    def _watch(self) -> None:
        # The first that began is also the first whose time is over.
        while (waiting := self._waiting.get()) is not None:
            until, has_come, context = waiting
            if not has_come.wait(max(0.0, until - time.monotonic())):
                context.cancel()


class _Stores:
    """The store, opened as often as calls are made at once."""

    def __init__(self, connection: _tfx.Connection) -> None:
        self._closed = threading.Event()
        patience = Patience(_PATIENCE_SECONDS, _CALL_SECONDS, self._check)
        self.database: Database = database_of(connection, WAIT_SECONDS, patience)
        self._all = [open_store(self.database, create=True, beside=True)]
        self._free: queue.LifoQueue[Store | None] = queue.LifoQueue()
        for _ in range(0 if self.database.locks_each_call else _CONNECTIONS - 1):
            self._free.put(None)  # opened when it is needed
        self._free.put(self._all[0])

    def answer(self, method_name: str, request: bytes, is_wanted: Callable[[], bool]) -> Answer:
        """Answer a request, unless who asked is gone before its turn."""
        while is_wanted():
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

    def __init__(self, stores: _Stores, token: str, limit: _Limit) -> None:
        self._stores = stores
        self._expected = f"Bearer {token}".encode() if token else b""
        self._limit = limit

    def service(self, handler_call_details: Any) -> Any:
        service, _, method_name = handler_call_details.method.removeprefix("/").partition("/")
        if service != SERVICE or method_name not in _METHODS:
            return None
        if not self._is_allowed(handler_call_details.invocation_metadata):
            # Refused before the request is read, which may be long.
            return grpc.stream_unary_rpc_method_handler(_refuse)

        # As a stream, so that who reads the request says how long it may take to come.
        return grpc.stream_unary_rpc_method_handler(
            lambda requests, context: self._answer(method_name, requests, context)
        )

    def _is_allowed(self, metadata: Any) -> bool:
        if not self._expected:
            return True
        tokens = [value for key, value in metadata or () if key == "authorization"]
        tokens = [value.encode() if isinstance(value, str) else value for value in tokens]
        return len(tokens) == 1 and hmac.compare_digest(tokens[0], self._expected)

    def _answer(self, method_name: str, requests: Iterator[bytes], context: Any) -> bytes:
        try:
            request = self._limit.first(requests, context)
        except StopIteration:
            context.abort(grpc.StatusCode.INTERNAL, "no request has come")
        except grpc.RpcError:  # it has come to its end on the way
            return b""
        answered = self._stores.answer(method_name, request, context.is_active)
        if answered.code:
            code = _CODES.get(answered.code, grpc.StatusCode.UNKNOWN)
            context.abort(code, as_detail(answered.text))
        return answered.response


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
