"""Long texts in a database that holds short ones."""

from __future__ import annotations

import random
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock import _tfx
from penstock._tfx import metadata_store_pb2 as proto
from penstock._tfx import metadata_store_service_pb2 as service
from penstock.metadata.databases.portions import PORTION_BYTES, join, shortened, split
from penstock.metadata.store import connect, connection_config

MOST = 20_000
TEXTS = st.builds(str.__mul__, st.text(max_size=20), st.sampled_from([1, 30, 99, 100, 101, 1000]))


def request_with(texts, declared=None):
    request = service.PutExecutionsRequest()
    execution = request.executions.add(id=3)
    for name, text in texts.items():
        execution.custom_properties[name].string_value = text
    for name, text in (declared or {}).items():
        execution.properties[name].string_value = text
    return request


def copy_of(message):
    copied = type(message)()
    copied.CopyFrom(message)
    return copied


def incompressible(length, seed=1):
    return "".join(random.Random(seed).choices(string.ascii_letters + string.digits, k=length))


@settings(deadline=None)
@given(
    st.dictionaries(st.text(max_size=9), TEXTS, max_size=4),
    st.dictionaries(st.text(max_size=9), TEXTS, max_size=4),
)
def test_texts_are_what_they_were_and_none_is_longer_than_a_portion(texts, declared):
    before = request_with(texts, declared)
    request = copy_of(before)
    split(request, MOST)
    [execution] = request.executions
    for properties in (execution.properties, execution.custom_properties):
        for value in properties.values():
            size = len(value.string_value.encode())
            assert size <= PORTION_BYTES or size > MOST
    join(request)
    assert request == before


def test_who_reads_without_penstock_sees_the_beginning_and_the_digest():
    request = request_with({"text": "ä" * 3000})
    split(request, MOST)
    [execution] = request.executions
    assert execution.custom_properties["text"].string_value == shortened("ä" * 3000)


def test_portions_of_a_text_that_another_has_changed_do_not_count():
    request = request_with({"text": "a" * 3000})
    split(request, MOST)
    request.executions[0].custom_properties["text"].string_value = "b"
    join(request)
    assert request.executions[0].custom_properties["text"].string_value == "b"


def test_a_property_that_is_named_like_a_portion_stays():
    request = request_with({"text of properties 00000: rows": "mine"})
    before = copy_of(request)
    join(request)
    assert request == before


@pytest.fixture
def store(postgresql):
    with connect(connection_config(postgresql.address("portions"))) as metadata:
        yield metadata.store


@pytest.fixture
def of_type(store):
    kind = proto.ExecutionType(name="T", properties={"note": proto.STRING})
    return store.put_execution_type(kind)


def test_postgresql_holds_a_long_text_of_an_execution_and_its_changes(store, of_type):
    first, second = incompressible(30_000), incompressible(900_000, seed=2)
    execution = proto.Execution(type_id=of_type)
    execution.properties["note"].string_value = first
    execution.custom_properties["more"].string_value = second
    [execution.id] = store.put_executions([execution])
    [found] = store.get_executions_by_id([execution.id])
    assert dict(found.properties) == dict(execution.properties)
    assert dict(found.custom_properties) == dict(execution.custom_properties)
    found.properties["note"].string_value = "short"
    found.custom_properties["more"].string_value = first
    store.put_executions([found])
    [again] = store.get_executions_by_id([execution.id])
    assert again.properties["note"].string_value == "short"
    assert {name: value.string_value for name, value in again.custom_properties.items()} == {
        "more": first
    }


def test_a_long_text_is_found_by_a_query(store, of_type):
    execution = proto.Execution(type_id=of_type)
    execution.properties["note"].string_value = incompressible(3000)
    [execution_id] = store.put_executions([execution])
    query = f"properties.note.string_value = '{incompressible(3000)}'"
    found = store.get_executions(_tfx.ml_metadata.ListOptions(filter_query=query))
    assert [each.id for each in found] == [execution_id]
