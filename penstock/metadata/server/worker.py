"""A process of the metadata server's, which asks the store what the server was asked.

ML Metadata's library holds Python's lock while it works or waits for a database, so that one that
waits for long would keep a server from all else, its own end included. So the store is opened in
processes beside it.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import DecodeError

from penstock import _tfx
from penstock.errors import StoreError
from penstock.metadata.databases.client import Store, database_of, open_store
from penstock.metadata.databases.locking import StoreLocked

_errors = _tfx.ml_metadata.errors
_service = _tfx.metadata_store_service_pb2
# Of the service, and not of ML Metadata's library: what they ask for, one context at a time.
_IN_PARTS = {
    "GetParentContextsByContexts": ("GetParentContextsByContext", "parent_contexts"),
    "GetChildrenContextsByContexts": ("GetChildrenContextsByContext", "children_contexts"),
}
_NOT_IN_LIBRARY = {"GetLineageGraph": "GetLineageSubgraph"}

# A process of a pool keeps what it works with here: the pool passes it nothing but tasks.
_opened: list[Store] = []


@dataclass(frozen=True)
class Answer:
    """A response, or the code and the text of an error as gRPC and ML Metadata number them."""

    response: bytes = b""
    code: int = 0
    text: str = ""


def start(connection: _tfx.Connection) -> None:
    """Open the store, for the life of this process, which ends with the server's."""
    # Both also reach the server, which lets calls under way come to their end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    threading.Thread(target=_end_with_the_server, daemon=True).start()
    _opened[:] = [open_store(database_of(connection), create=True)]


def _end_with_the_server() -> None:
    server = multiprocessing.parent_process()
    if server is not None:
        server.join()
        os._exit(1)


def answer(method_name: str, serialized: bytes) -> Answer:
    """Answer a serialized request."""
    method = _service.DESCRIPTOR.services_by_name["MetadataStoreService"].methods_by_name[
        method_name
    ]
    try:
        request = getattr(_service, method.input_type.name).FromString(serialized)
    except DecodeError:
        return Answer(code=_errors.INVALID_ARGUMENT, text=f"this is no {method.input_type.name}")
    response = getattr(_service, method.output_type.name)()
    [store] = _opened
    try:
        if method_name in _IN_PARTS:
            _answer_in_parts(store, method_name, request, response)
        elif method_name in _NOT_IN_LIBRARY:
            return _not_in_library(method_name)
        else:
            store.answer(method_name, request, response)
    except _errors.StatusError as error:
        return Answer(code=error.error_code, text=str(error))
    except StoreLocked as error:
        return Answer(code=_errors.ABORTED, text=str(error))
    except StoreError as error:
        return Answer(code=_errors.INTERNAL, text=str(error))
    return Answer(response.SerializeToString())


def _answer_in_parts(store: Store, method_name: str, request: Any, response: Any) -> None:
    getter, field = _IN_PARTS[method_name]
    for context_id in request.context_ids:
        part = getattr(_service, f"{getter}Response")()
        store.answer(getter, getattr(_service, f"{getter}Request")(context_id=context_id), part)
        getattr(response.contexts[context_id], field).extend(part.contexts)


def _not_in_library(method_name: str) -> Answer:
    return Answer(
        code=_errors.UNIMPLEMENTED,
        text=f"the installed ml-metadata has no {method_name}; "
        f"{_NOT_IN_LIBRARY[method_name]} takes its place",
    )
