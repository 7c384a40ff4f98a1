"""Queries answered without the store's help are answered as ML Metadata answers them.

An ml-metadata that has queries (before 1.21) is the judge.
"""

from __future__ import annotations

import contextlib
from types import SimpleNamespace

import ml_metadata
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from ml_metadata import ListOptions, OrderByField
from ml_metadata.proto import metadata_store_pb2 as proto

from penstock.metadata.databases import filtering
from penstock.metadata.databases.queries import (
    ARTIFACT,
    EXECUTION,
    UnknownQueryError,
    parse,
    render,
)
from penstock_support.histories import History


class WithoutQueries(ml_metadata.MetadataStore):
    """A store that refuses queries as ml-metadata 1.21 does, and answers them like Penstock's."""

    def __init__(self, store):
        self.__dict__.update(store.__dict__)

    def _call_method(self, method_name, request, response):
        if filtering.asks_a_query(method_name, request):
            filtering.answer(super()._call_method, method_name, request, response)
        else:
            super()._call_method(method_name, request, response)


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """The same history behind a store that has queries, and behind one that has none."""
    store = ml_metadata.MetadataStore(_in_memory())
    history = History(store, tmp_path_factory.mktemp("history"))
    for run in range(3):
        name = f"r{run}"
        gen = history.execute(
            name, "Gen", {}, {"examples": "Examples"}, parameters={"span": run, "rate": run / 2}
        )
        model = history.execute(
            name,
            "Trainer",
            {"examples": [gen["examples"]]},
            {"model": "Model", "log": "ModelRun"},
            state="failed" if run == 1 else "done",
            properties={"model": {"it's": 'a"b', "span": run}},
        )
        history.execute(
            name, "Pusher", {"model": [model["model"]]}, {"pushed": "PushedModel"}, pipeline="q"
        )
    try:
        store.get_executions(ListOptions(filter_query="id = 1"))
    except ml_metadata.errors.UnimplementedError:
        pytest.skip("this ml-metadata has no queries to compare with")
    return SimpleNamespace(asked=store, read=WithoutQueries(store))


def _in_memory():
    config = proto.ConnectionConfig()
    config.fake_database.SetInParent()
    return config


COMPARISONS = {
    "get_artifacts": (
        "id = 2",
        "id IN (1, 3, 99)",
        "id < 4",
        "NOT id >= 3",
        "type = 'Model'",
        'type IN ("Model", "Examples")',
        "type != 'Model'",
        "type LIKE 'Model%'",
        "name = 'nobody'",
        "name IS NULL",
        "uri IS NOT NULL",
        "uri LIKE '%Trainer%'",
        "state = LIVE",
        "state IN (PENDING, LIVE)",
        "state NOT IN (2)",
        "state != LIVE",
        "id BETWEEN 2 AND 4",
        "3 > id",
        "uri LIKE '/%Trainer/%log%'",
        "custom_properties.span.int_value IN (0, 2) AND NOT id = 1",
        "custom_properties.span.int_value > 0",
        "custom_properties.`it's`.string_value = 'a\"b'",
        "contexts_a.type = 'node'",
        "contexts_a.type = 'pipeline_run' AND contexts_a.name = 'r1'",
        "contexts_a.name IN ('p.Trainer', 'q.Pusher')",
        "events_0.type = INPUT",
        "events_0.execution_id = 2",
        "create_time_since_epoch > 0",
    ),
    "get_executions": (
        "id = 2",
        "id > 3",
        "last_known_state = COMPLETE",
        "last_known_state IN (FAILED, CACHED)",
        "type LIKE '%Gen'",
        "contexts_0.name = 'p'",
        "contexts_0.name = 'p' AND contexts_1.name = 'r1'",
        "contexts_0.id = 1 AND contexts_1.id = 2",
        "custom_properties.span.int_value = 1",
        "custom_properties.rate.double_value >= 0.5",
        "events_0.artifact_id = 1 AND events_0.type = INPUT",
        "last_update_time_since_epoch < 99999999999999",
    ),
}


SAME = (
    ("last_known_state IN (3, 5)", "last_known_state IN (COMPLETE, CACHED)"),
    ("last_known_state = 3", "last_known_state = COMPLETE"),
    ("NOT last_known_state IN (COMPLETE)", "last_known_state NOT IN (COMPLETE)"),
    ("last_known_state = FAILED OR last_known_state = FAILED", "last_known_state = FAILED"),
    ("id NOT BETWEEN 2 AND 3", "id < 2 OR id > 3"),
    ("ID <> 2", "id != 2"),
)


def ids(found):
    return [node.id for node in found]


@pytest.mark.parametrize(
    ("method", "query"), [(name, query) for name in COMPARISONS for query in COMPARISONS[name]]
)
def test_a_condition_brings_what_ml_metadata_brings(stores, method, query):
    options = ListOptions(filter_query=query, order_by=OrderByField.ID)
    asked = getattr(stores.asked, method)(list_options=options)
    assert ids(getattr(stores.read, method)(list_options=options)) == ids(asked)


@pytest.mark.parametrize(("query", "other"), SAME)
def test_what_means_the_same_brings_the_same(stores, query, other):
    found = stores.read.get_executions(list_options=ListOptions(filter_query=query))
    assert ids(found) == ids(stores.asked.get_executions(ListOptions(filter_query=other)))


def written_anew(query, kind):
    return ListOptions(filter_query=render(parse(query, kind)), order_by=OrderByField.ID)


@pytest.mark.parametrize(
    ("method", "query"),
    [(name, query) for name in COMPARISONS for query in COMPARISONS[name] if "it's" not in query],
)
def test_a_condition_that_is_written_anew_brings_the_same(stores, method, query):
    kind = {"get_artifacts": ARTIFACT, "get_executions": EXECUTION}[method]
    asked = getattr(stores.asked, method)(
        list_options=ListOptions(filter_query=query, order_by=OrderByField.ID)
    )
    assert ids(getattr(stores.asked, method)(written_anew(query, kind))) == ids(asked)


def conditions(method):
    leaves = st.sampled_from(COMPARISONS[method])
    return st.recursive(
        leaves,
        lambda inner: st.builds(
            "({}) {} ({})".format, inner, st.sampled_from(["AND", "OR"]), inner
        ),
        max_leaves=3,
    )


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_conditions_are_put_together_as_ml_metadata_puts_them(stores, data):
    method = data.draw(st.sampled_from(sorted(COMPARISONS)))
    query = data.draw(conditions(method))
    options = ListOptions(
        filter_query=query,
        limit=data.draw(st.sampled_from([None, 1, 3])),
        order_by=data.draw(st.sampled_from(OrderByField)),
        is_asc=data.draw(st.booleans()),
    )
    try:
        asked = getattr(stores.asked, method)(list_options=options)
    except ml_metadata.errors.InvalidArgumentError:
        # It cannot read one condition on a state that is there twice.
        reject()
    read = getattr(stores.read, method)(list_options=options)
    if options.order_by is OrderByField.ID:
        assert ids(read) == ids(asked)
    else:
        # Among those of one millisecond there is no order.
        assert len(read) == len(asked)
    assert options.limit or {n.id: n for n in read} == {n.id: n for n in asked}


def test_more_than_a_page_of_a_context_is_read_to_its_end(tmp_path):
    store = ml_metadata.MetadataStore(_in_memory())
    history = History(store, tmp_path)
    for number in range(250):
        history.execute("r", "Gen", {}, parameters={"even": int(number % 2 == 0)})
    context = store.get_context_by_type_and_name("pipeline_run", "r")
    options = ListOptions(
        filter_query="custom_properties.even.int_value = 1",
        order_by=OrderByField.ID,
        is_asc=False,
        limit=120,
    )
    found = WithoutQueries(store).get_executions_by_context(context.id, list_options=options)
    assert ids(found) == list(range(249, 0, -2))[:120]


DIRECTIONS = proto.LineageSubgraphQueryOptions.Direction


@pytest.mark.parametrize("hops", [0, 1, 2, 3, 20, None])
@pytest.mark.parametrize("direction", [None, *DIRECTIONS.values()])
@pytest.mark.parametrize(
    ("starts", "query"),
    [
        ("artifacts", "id = 2"),
        ("artifacts", "type = 'Examples'"),
        ("executions", "id IN (2, 3)"),
        ("executions", "contexts_a.name = 'r1'"),
    ],
)
def test_a_lineage_subgraph_is_ml_metadata_s(stores, hops, direction, starts, query):
    options = proto.LineageSubgraphQueryOptions(max_num_hops=hops, direction=direction)
    getattr(options, f"starting_{starts}").filter_query = query
    same_graph(stores, options)


@pytest.mark.parametrize("ending", ["events_0.artifact_id = 1 AND events_0.type = INPUT", "id = 2"])
def test_a_lineage_subgraph_ends_where_ml_metadata_s_ends(stores, ending):
    options = proto.LineageSubgraphQueryOptions(max_num_hops=4)
    options.starting_artifacts.filter_query = "id = 1"
    options.ending_executions.filter_query = ending
    same_graph(stores, options)


def test_a_lineage_subgraph_has_what_is_asked_for_alone(stores):
    options = proto.LineageSubgraphQueryOptions(max_num_hops=2)
    options.starting_artifacts.filter_query = "id = 1"
    same_graph(stores, options, ["artifacts", "artifact_types"])
    same_graph(stores, options, ["contexts", "associations"])


def same_graph(stores, options, paths=None):
    asked = stores.asked.get_lineage_subgraph(options, paths)
    read = stores.read.get_lineage_subgraph(options, paths)
    for name in proto.LineageGraph.DESCRIPTOR.fields_by_name:
        assert told(read, name) == told(asked, name), name


def told(graph, name):
    return sorted(node.SerializeToString(deterministic=True) for node in getattr(graph, name))


def test_a_subgraph_from_nowhere_is_refused_as_ml_metadata_refuses_it(stores):
    options = proto.LineageSubgraphQueryOptions()
    options.starting_artifacts.filter_query = "id = 99"
    for store in (stores.asked, stores.read):
        with pytest.raises(ml_metadata.errors.NotFoundError):
            store.get_lineage_subgraph(options)


@pytest.mark.parametrize(
    "query", ["", "id", "id = ", "id ~ 3", "id = 1 id = 2", "(id = 1", "id = )"]
)
def test_what_is_no_query_is_told_with_the_query(query):
    with pytest.raises(UnknownQueryError) as told_of:
        parse(query, EXECUTION)
    assert repr(query) in str(told_of.value)


@given(st.text(max_size=40))
def test_any_text_is_a_query_or_an_unknown_one(text):
    with contextlib.suppress(UnknownQueryError):
        parse(text, EXECUTION)
