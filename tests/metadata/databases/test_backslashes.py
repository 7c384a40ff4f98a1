from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from hypothesis import given
from hypothesis import strategies as st

from penstock._tfx import metadata_store_pb2
from penstock._tfx import metadata_store_service_pb2 as service
from penstock.errors import StoreError
from penstock.metadata.databases.backslashes import STAND_IN, hide, show
from penstock.metadata.store import connect, connection_config

TEXTS = st.text(alphabet=st.sampled_from("\\'aü0$;"), max_size=20)


def texts_in(content: Any) -> Iterator[str]:
    """Yield every key and every text of a message as JSON has it."""
    if isinstance(content, str):
        yield content
    elif isinstance(content, dict):
        for key, value in content.items():
            yield from (key, *texts_in(value))
    elif isinstance(content, list):
        for item in content:
            yield from texts_in(item)


@given(st.dictionaries(TEXTS, TEXTS), TEXTS, st.lists(TEXTS))
def test_backslashes_are_nowhere_in_what_is_hidden_and_all_back_when_shown(texts, name, uris):
    request = service.PutArtifactsRequest()
    artifact = request.artifacts.add(name=name, id=3)
    for key, text in texts.items():
        artifact.custom_properties[key].string_value = text
        artifact.custom_properties[f"{key} nested"].struct_value.fields[key].string_value = text
    request.update_mask.paths.extend(uris)
    before = service.PutArtifactsRequest()
    before.CopyFrom(request)
    hide(request)
    assert not [text for text in texts_in(MessageToDict(request)) if "\\" in text]
    show(request)
    assert request == before


def test_a_text_with_the_stand_in_is_refused():
    request = service.PutArtifactsRequest()
    request.artifacts.add(name=f"a{STAND_IN}")
    with pytest.raises(StoreError, match=r"U\+E05C, for private use, which means a backslash"):
        hide(request)


def test_no_part_of_a_text_is_run_as_sql(postgresql):
    config = connection_config(postgresql.address("injected"))
    with connect(config) as metadata:
        type_id = metadata.store.put_context_type(metadata_store_pb2.ContextType(name="type"))
        name = ", null, 1, 1); DROP TABLE Artifact CASCADE; --\\"
        [context_id] = metadata.store.put_contexts(
            [metadata_store_pb2.Context(type_id=type_id, name=name)]
        )
        assert metadata.store.get_contexts_by_id([context_id])[0].name == name
        assert metadata.store.get_context_by_type_and_name("type", name).id == context_id
        assert metadata.store.get_artifacts() == []
