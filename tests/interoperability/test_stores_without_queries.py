"""TFX's input resolution reads a store whose client has no queries, as that of ml-metadata 1.21."""

from __future__ import annotations

import pytest
from ml_metadata import errors
from ml_metadata.metadata_store import metadata_store
from ml_metadata.proto import metadata_store_pb2 as proto
from tfx.proto.orchestration import pipeline_pb2

from penstock import _tfx
from penstock._tfx.core import channel_resolver, metadata


class StoreWithoutQueries(metadata_store.MetadataStore):
    def get_executions(self, list_options=None, **kwargs):
        return super().get_executions(_without_query(list_options), **kwargs)

    def get_artifacts_by_context(self, context_id, list_options=None, **kwargs):
        return super().get_artifacts_by_context(context_id, _without_query(list_options), **kwargs)


def _without_query(options):
    if options is not None and options.filter_query:
        raise errors.UnimplementedError("filter_query is not supported")
    return options


@pytest.fixture
def handle(tmp_path):
    config = metadata.sqlite_metadata_connection_config(str(tmp_path / "metadata.sqlite"))
    with metadata.Metadata(config) as opened:
        opened._store = StoreWithoutQueries(config)
        yield opened


@pytest.fixture
def artifact_id(handle):
    """An artifact that a node of a pipeline has put out, beside one of another node."""
    made = [_publish(handle.store, node) for node in ("CsvExampleGen", "Other")]
    return made[0]


def _publish(store, node):
    context_types = [
        store.put_context_type(proto.ContextType(name=name)) for name in ("pipeline", "node")
    ]
    contexts = [
        proto.Context(type_id=type_id, name=name)
        for type_id, name in zip(context_types, ("flights", node), strict=True)
    ]
    execution = proto.Execution(type_id=store.put_execution_type(proto.ExecutionType(name=node)))
    artifact = proto.Artifact(
        type_id=store.put_artifact_type(_tfx.standard_artifacts.Examples._get_artifact_type()),
        uri=f"/{node}",
        state=proto.Artifact.LIVE,
    )
    steps = [proto.Event.Path.Step(key="examples"), proto.Event.Path.Step(index=0)]
    event = proto.Event(type=proto.Event.OUTPUT, path=proto.Event.Path(steps=steps))
    _, [made], _ = store.put_execution(
        execution, [(artifact, event)], contexts, reuse_context_if_already_exist=True
    )
    return made


def channel(*contexts, output_key=""):
    found = pipeline_pb2.InputSpec.Channel(output_key=output_key)
    found.artifact_query.type.name = "Examples"
    for kind, name in contexts:
        query = found.context_queries.add()
        query.type.name = kind
        query.name.field_value.string_value = name
    return found


def test_the_output_of_a_node_is_found(handle, artifact_id):
    asked = channel(("pipeline", "flights"), ("node", "CsvExampleGen"), output_key="examples")
    assert [a.id for a in channel_resolver.resolve_single_channel(handle, asked)] == [artifact_id]


def test_all_artifacts_of_a_type_in_a_pipeline_are_found(handle, artifact_id):
    asked = channel(("pipeline", "flights"))
    found = channel_resolver.resolve_single_channel(handle, asked)
    assert {a.uri for a in found} == {"/CsvExampleGen", "/Other"}
