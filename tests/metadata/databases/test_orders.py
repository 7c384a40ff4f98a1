"""Queries whose answers are to be in an order."""

from __future__ import annotations

import pytest

from penstock._tfx import metadata_store_pb2 as proto
from penstock._tfx import ml_metadata
from penstock.metadata.store import connect, connection_config


@pytest.mark.parametrize("field", list(ml_metadata.OrderByField))
def test_what_a_query_finds_is_in_the_order_that_is_asked_for(new_address, field):
    with connect(connection_config(new_address())) as metadata:
        store = metadata.store
        kind, other = (
            store.put_context_type(proto.ContextType(name=name)) for name in ("kind", "other")
        )
        for number in range(3):
            store.put_contexts([proto.Context(type_id=kind, name=f"context {number}")])
            store.put_contexts([proto.Context(type_id=other, name=f"context {number}")])
        options = ml_metadata.ListOptions(
            filter_query="type = 'kind'", order_by=field, is_asc=False, limit=2
        )
        names = [context.name for context in store.get_contexts(options)]
    assert names == ["context 2", "context 1"]
