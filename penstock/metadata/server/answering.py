"""What a metadata server does with a request, once it has come."""

from __future__ import annotations

from typing import Any

from google.protobuf.message import DecodeError

from penstock import _tfx
from penstock.errors import StoreError
from penstock.metadata.databases.client import Store
from penstock.metadata.databases.locking import StoreLocked
from penstock.metadata.databases.native import Answer
from penstock.metadata.databases.patience import StoreAway

_errors = _tfx.ml_metadata.errors
_service = _tfx.metadata_store_service_pb2
# Of the service, and not of ML Metadata's library: what they ask for, one context at a time.
_IN_PARTS = {
    "GetParentContextsByContexts": ("GetParentContextsByContext", "parent_contexts"),
    "GetChildrenContextsByContexts": ("GetChildrenContextsByContext", "children_contexts"),
}
_NOT_IN_LIBRARY = {"GetLineageGraph": "GetLineageSubgraph"}


def answer(store: Store, method_name: str, serialized: bytes) -> Answer:
    """Ask a store what a serialized request asks."""
    method = _service.DESCRIPTOR.services_by_name["MetadataStoreService"].methods_by_name[
        method_name
    ]
    try:
        request = getattr(_service, method.input_type.name).FromString(serialized)
    except DecodeError:
        return Answer(code=_errors.INVALID_ARGUMENT, text=f"this is no {method.input_type.name}")
    response = getattr(_service, method.output_type.name)()
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
    except StoreAway as error:
        return Answer(code=_errors.UNAVAILABLE, text=str(error))
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
