"""What decides which of two is first decides it also when an answer is lost."""

from __future__ import annotations

import pytest

from penstock._tfx import metadata_store_pb2 as proto
from penstock._tfx import ml_metadata
from penstock.metadata import journal, turns
from penstock.metadata.databases import distant
from penstock.metadata.store import connect, connection_config
from penstock.metadata.turns import Turn
from penstock_support.outages import Losing


@pytest.fixture(params=[False, True], ids=["answers", "requests"])
def losing(request, monkeypatch):
    """A function that has all clients lose their answers, or requests, from now on."""

    def begin() -> None:
        monkeypatch.setattr(Losing, "loses_requests", request.param)
        Losing.seen.clear()
        monkeypatch.setattr(distant, "NativeClient", Losing)

    return begin


@pytest.fixture
def stores(address):
    """Two connections to one store."""
    with (
        connect(connection_config(address)) as first,
        connect(connection_config(address)) as second,
    ):
        for kind in ("lease", journal.ENTRY_CONTEXT, "kind"):
            first.store.put_context_type(proto.ContextType(name=kind))
        yield first.store, second.store


def lose(*stores) -> None:
    for store in stores:
        store.close()  # the next call takes a client that loses answers


def test_who_takes_a_turn_has_it_though_the_answer_was_lost(stores, losing):
    first, second = stores
    losing()
    lose(first, second)
    turn = turns.take(first, Turn, "one")
    assert turns.is_ours(first, turn)
    with pytest.raises(turns.Held):
        turns.take(second, Turn, "one")


def test_of_two_who_write_the_same_entry_one_has_written_it(stores, losing):
    first, second = stores
    losing()
    lose(first, second)
    mine = journal.intend(first, "j", "k", {"to": "do"}, who="me")
    with pytest.raises(journal.TakenError) as raised:
        journal.intend(second, "j", "k", {"to": "do"}, who="me")
    assert raised.value.entry == mine


def test_a_context_that_another_wrote_is_there_already(stores, losing):
    first, second = stores
    type_id = first.get_context_type("kind").id
    first.put_contexts([proto.Context(type_id=type_id, name="one")])
    losing()
    lose(second)
    different = proto.Context(type_id=type_id, name="one")
    different.custom_properties["by"].string_value = "another"
    with pytest.raises(ml_metadata.errors.AlreadyExistsError):
        second.put_contexts([different])


def test_what_two_write_alike_at_once_is_written_twice(stores, losing):
    first, second = stores
    type_id = first.put_execution_type(proto.ExecutionType(name="e"))
    losing()
    lose(first, second)
    made = [
        execution_id
        for store in (first, second, first)
        for execution_id in store.put_executions([proto.Execution(type_id=type_id)] * 2)
    ]
    assert sorted(made) == sorted(e.id for e in first.get_executions())
    assert len(set(made)) == 6


def test_a_change_is_made_once(stores, losing):
    first, _ = stores
    type_id = first.put_execution_type(proto.ExecutionType(name="e"))
    kind = first.put_artifact_type(proto.ArtifactType(name="a"))
    [execution_id] = first.put_executions([proto.Execution(type_id=type_id)])
    [execution] = first.get_executions_by_id([execution_id])
    losing()
    lose(first)
    execution.last_known_state = proto.Execution.COMPLETE
    execution.custom_properties["loss"].double_value = 1 / 3
    pairs = []
    for index in range(2):
        event = proto.Event(type=proto.Event.OUTPUT)
        event.path.steps.add().key = "out"
        event.path.steps.add().index = index
        pairs.append((proto.Artifact(type_id=kind, uri="same"), event))
    context = proto.Context(type_id=first.get_context_type("kind").id, name="new")
    _, artifact_ids, context_ids = first.put_execution(
        execution, pairs, [context], reuse_context_if_already_exist=True
    )
    assert sorted(a.id for a in first.get_artifacts()) == sorted(artifact_ids)
    assert [c.id for c in first.get_contexts()] == context_ids
    events = first.get_events_by_execution_ids([execution_id])
    placed = {e.path.steps[1].index: e.artifact_id for e in events}
    assert placed == dict(enumerate(artifact_ids))
    [stored] = first.get_executions_by_id([execution_id])
    assert stored.last_known_state == proto.Execution.COMPLETE


def test_events_and_relations_are_written_once(stores, losing):
    first, _ = stores
    type_id = first.put_execution_type(proto.ExecutionType(name="e"))
    kind = first.put_artifact_type(proto.ArtifactType(name="a"))
    context_type = first.get_context_type("kind").id
    losing()
    lose(first)
    [execution_id] = first.put_executions([proto.Execution(type_id=type_id, name="named")])
    artifact_ids = first.put_artifacts([proto.Artifact(type_id=kind)] * 3)
    parent, child = first.put_contexts(
        [proto.Context(type_id=context_type, name=name) for name in ("parent", "child")]
    )
    first.put_parent_contexts([proto.ParentContext(parent_id=parent, child_id=child)])
    first.put_events(
        [
            proto.Event(execution_id=execution_id, artifact_id=i, type=proto.Event.INPUT)
            for i in artifact_ids
        ]
    )
    first.put_attributions_and_associations(
        [proto.Attribution(artifact_id=artifact_ids[0], context_id=child)],
        [proto.Association(execution_id=execution_id, context_id=child)],
    )
    assert sorted(a.id for a in first.get_artifacts()) == sorted(artifact_ids)
    assert [c.id for c in first.get_parent_contexts_by_context(child)] == [parent]
    assert len(first.get_events_by_execution_ids([execution_id])) == 3
    assert [e.id for e in first.get_executions_by_context(child)] == [execution_id]
    assert [a.id for a in first.get_artifacts_by_context(child)] == artifact_ids[:1]


def test_a_whole_graph_is_written_once(stores, losing):
    first, _ = stores
    type_id = first.put_execution_type(proto.ExecutionType(name="e"))
    kind = first.put_artifact_type(proto.ArtifactType(name="a"))
    context = proto.Context(type_id=first.get_context_type("kind").id, name="run")
    losing()
    lose(first)
    executions = [proto.Execution(type_id=type_id) for _ in range(2)]
    artifacts = [proto.Artifact(type_id=kind, uri=f"{i}") for i in range(2)]
    edges = [(i, i, proto.Event(type=proto.Event.OUTPUT)) for i in range(2)]
    execution_ids, artifact_ids, context_ids = first.put_lineage_subgraph(
        executions, artifacts, [context], edges, reuse_context_if_already_exist=True
    )
    assert sorted(e.id for e in first.get_executions()) == execution_ids
    assert sorted(a.id for a in first.get_artifacts()) == artifact_ids
    assert [c.id for c in first.get_contexts()] == context_ids
    for execution_id, artifact_id in zip(execution_ids, artifact_ids, strict=True):
        [event] = first.get_events_by_execution_ids([execution_id])
        assert event.artifact_id == artifact_id
