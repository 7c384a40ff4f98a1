"""Nothing that a request says is read by a database as SQL, whatever the database is.

A canary stands beside the store's tables: it must stay as it is, and nobody may read it.
"""

from __future__ import annotations

import base64
import itertools
from contextlib import closing
from dataclasses import dataclass

import grpc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock._tfx import metadata_store_pb2 as proto
from penstock._tfx import metadata_store_service_pb2 as service
from penstock.metadata.databases.queries import (
    ARTIFACT,
    CONTEXT,
    EXECUTION,
    UnknownQueryError,
    can_be_rendered,
    parse,
    render,
)
from penstock.metadata.databases.remote import SERVICE
from penstock_support import canaries, metadata_servers

_NUMBERS = itertools.count(1)
METHODS = service.DESCRIPTOR.services_by_name["MetadataStoreService"].methods_by_name
# What databases say of a statement that they cannot read: something has left its quotes.
MISREAD = ("syntax error at", "error in your SQL syntax", "unrecognized token", "no such column")

PIECES = (
    *"'\"\\`;#\0\n\u2019\u201c%(),a\u00fc",
    *("--", "/*", "''", "\\'", "x27", "$1", " OR 1=1", "E'", "state = LIVE", "properties.a"),
    "; CREATE TABLE evil (x int); --",
    "' UNION SELECT secret FROM canary --",
    '" UNION SELECT secret FROM canary --',
)
EVIL = st.lists(st.sampled_from(PIECES), max_size=5).map("".join)
QUERIES = st.one_of(
    EVIL,
    st.builds(
        lambda form, texts: form.format(*texts),
        st.sampled_from(
            [
                "name = '{0}'",
                'name = "{0}"',
                "name LIKE '{0}' AND uri != \"{1}\"",
                "type IN ('{0}', \"{1}\")",
                "custom_properties.`{0}`.string_value = '{1}'",
                "properties.`{0}`.int_value = 1",
                "contexts_a.name = '{0}' OR contexts_{1}.id = 1",
                "events_0.type = {0}",
                "id IN ({0})",
                "id = 1 AND ({0})",
                "{0} = {1}",
            ]
        ),
        st.tuples(EVIL, EVIL),
    ),
)


@dataclass(frozen=True)
class Guarded:
    """A served store with a canary beside its tables."""

    channel: grpc.Channel
    canary: canaries.Canary
    tables: frozenset[str]

    def ask(self, method_name, request):
        """Return the code of the answer; see that nothing was read or changed that must not be."""
        code = grpc.StatusCode.OK
        try:
            said = str(self.answer(method_name, request))
        except grpc.RpcError as error:
            code, said = error.code(), error.details()
            assert code is grpc.StatusCode.INVALID_ARGUMENT or not any(map(said.count, MISREAD))
        assert canaries.SECRET not in said
        assert code not in (grpc.StatusCode.UNKNOWN, grpc.StatusCode.UNAVAILABLE), said
        return code

    def answer(self, method_name, request):
        call = self.channel.unary_unary(
            f"/{SERVICE}/{method_name}",
            type(request).SerializeToString,
            getattr(service, f"{method_name}Response").FromString,
        )
        return call(request, timeout=60)

    def is_whole(self):
        return self.canary.tables() == self.tables


@pytest.fixture(scope="module", params=["sqlite", "mariadb", "postgresql"])
def guarded(request, tmp_path_factory):
    name = f"guarded_{next(_NUMBERS)}"
    if request.param == "sqlite":
        address = str(tmp_path_factory.mktemp("guarded") / f"{name}.sqlite")
    else:
        address = request.getfixturevalue(request.param).address(name)
    with (
        metadata_servers.serving(address) as served,
        grpc.insecure_channel(f"localhost:{served.port}") as channel,
        closing(canaries.canary_of(address)) as canary,
    ):
        canary.plant()
        server = Guarded(channel, canary, canary.tables())
        server.ask("PutArtifactType", _type_request("Artifact"))
        server.ask("PutExecutionType", _type_request("Execution"))
        server.ask("PutContextType", _type_request("Context"))
        for kind in ("Artifact", "Execution", "Context"):
            put = getattr(service, f"Put{kind}sRequest")()
            getattr(put, f"{kind.lower()}s").add(type_id=1, name="here")
            server.ask(f"Put{kind}s", put)
        yield server


def _type_request(kind):
    request = getattr(service, f"Put{kind}TypeRequest")()
    getattr(request, f"{kind.lower()}_type").name = "T"
    return request


LISTS = ("GetArtifacts", "GetExecutions", "GetContexts", "GetExecutionsByContext")


@settings(max_examples=150, deadline=None)
@given(method=st.sampled_from(LISTS), query=QUERIES)
def test_no_part_of_a_query_is_run_as_sql(guarded, method, query):
    request = getattr(service, f"{method}Request")()
    request.options.filter_query = query
    guarded.ask(method, request)
    assert guarded.is_whole()


@settings(max_examples=60, deadline=None)
@given(
    ends=st.sets(st.sampled_from(["starting", "ending"]), min_size=1),
    kind=st.sampled_from(["artifacts", "executions"]),
    query=QUERIES,
    mask=st.lists(EVIL, max_size=2),
)
def test_no_part_of_a_lineage_query_is_run_as_sql(guarded, ends, kind, query, mask):
    request = service.GetLineageSubgraphRequest()
    request.read_mask.paths.extend(mask)
    options = request.lineage_subgraph_query_options
    options.starting_artifacts.filter_query = "id = 1"
    for end in ends:
        getattr(options, f"{end}_{kind}").filter_query = query
    guarded.ask("GetLineageSubgraph", request)
    assert guarded.is_whole()


def _filled(draw, message, depth=0):
    """Fill in a message with texts that would leave their quotes."""
    for field in message.DESCRIPTOR.fields:
        if depth > 4 or not draw(st.booleans()):
            continue
        content = getattr(message, field.name)
        of_message = field.message_type
        if of_message is not None and of_message.GetOptions().map_entry:
            if of_message.fields_by_name["value"].message_type is proto.Value.DESCRIPTOR:
                content[draw(EVIL)].string_value = draw(EVIL)
            elif of_message.fields_by_name["value"].enum_type is not None:
                content[draw(EVIL)] = 3
        elif of_message is not None:
            if of_message.file.name.startswith("google/"):
                continue
            repeated = field.label == field.LABEL_REPEATED
            _filled(draw, content.add() if repeated else content, depth + 1)
        elif field.type == field.TYPE_STRING and field.name != "filter_query":
            if field.label == field.LABEL_REPEATED:
                content.append(draw(EVIL))
            else:
                setattr(message, field.name, draw(EVIL))
        elif field.type in (field.TYPE_INT64, field.TYPE_INT32):
            if field.label == field.LABEL_REPEATED:
                content.append(1)
            else:
                setattr(message, field.name, 1)


@st.composite
def requests(draw):
    method = METHODS[draw(st.sampled_from(sorted(METHODS)))]
    request = getattr(service, method.input_type.name)()
    _filled(draw, request)
    return method.name, request


@settings(max_examples=200, deadline=None)
@given(asked=requests())
def test_no_text_of_any_request_is_run_as_sql(guarded, asked):
    guarded.ask(*asked)
    assert guarded.is_whole()


@settings(max_examples=40, deadline=None)
@given(token=EVIL, judged=EVIL, query=st.sampled_from(["", "name = '\"'"]))
def test_no_part_of_a_token_is_run_as_sql(guarded, token, judged, query):
    request = service.GetContextsRequest()
    request.options.next_page_token = f"{token}|{judged}" if judged else token
    request.options.filter_query = query
    guarded.ask("GetContexts", request)
    assert guarded.is_whole()


@settings(max_examples=40, deadline=None)
@given(query=EVIL)
def test_a_query_in_a_token_is_not_asked(guarded, query):
    token = proto.ListOperationNextPageToken(id_offset=1, field_offset=1)
    token.set_options.filter_query = query
    request = service.GetContextsRequest()
    request.options.next_page_token = base64.urlsafe_b64encode(token.SerializeToString()).decode()
    guarded.ask("GetContexts", request)
    assert guarded.is_whole()


@pytest.mark.parametrize(
    "query",
    [
        "id IN (SELECT 1)",
        "EXISTS(SELECT 1)",
        "id = 1 -- and more",
        "id = 1 /* and more */",
        "id = 1; DROP TABLE Artifact",
        "LOWER(name) = 'a'",
        "name = r'a'",
        "name = '''a'''",
        "name = name",
        "TRUE",
        "id = 99999999999999999999",
        "last_known_state = 33",
        "last_known_state = 'COMPLETE'",
        "uri = 'an execution has none'",
        "name = 1",
        "name = '\\q'",
        "(" * 100 + "id = 1" + ")" * 100,
        " AND ".join(f"contexts_{number}.id = 1" for number in range(20)),
    ],
)
def test_what_is_not_of_the_language_is_refused(guarded, query):
    request = service.GetExecutionsRequest()
    request.options.filter_query = query
    assert guarded.ask("GetExecutions", request) is grpc.StatusCode.INVALID_ARGUMENT


# As TFX's resolvers and Kubeflow Pipelines' driver and client write them.
ASKED = {
    "GetExecutions": (
        "(contexts_0.id = 1) AND (contexts_1.id = 2)",
        '(contexts_0.type = "node") AND (contexts_0.name = "p.n") AND (last_known_state IN '
        "(COMPLETE,CACHED)) AND (last_update_time_since_epoch >= 12)",
        "last_known_state = COMPLETE",
        "contexts_run.id = 1 AND custom_properties.parent_dag_id.int_value = 4",
        "custom_properties.parent_dag_id.int_value=4",
    ),
    "GetArtifacts": (
        'type="Examples"',
        '((contexts_0.type = "node") AND (contexts_0.name = "p.n")) AND ((state = LIVE) OR '
        "(state = PENDING))",
        'type IN ("Model", "ModelBlessing") AND state IN (2) AND contexts_a.name IN '
        '("p.a", "p.b") AND contexts_a.type = "node"',
        'id IN (1, 2) AND (uri = "/o\'neil/model")',
        "uri LIKE 's3://bucket/%'",
    ),
    "GetContexts": (
        "type = 'pipeline_run'",
        "parent_contexts_0.name = 'p'",
        "child_contexts_a.id = 1",
    ),
}


@pytest.mark.parametrize(("method", "query"), [(m, q) for m in ASKED for q in ASKED[m]])
def test_what_tfx_and_kubeflow_pipelines_ask_is_answered(guarded, method, query):
    request = getattr(service, f"{method}Request")()
    request.options.filter_query = query
    assert guarded.ask(method, request) is grpc.StatusCode.OK


NAMES = ["it's", 'a"b', "back\\slash", "tick`", "plain", "x\ny", "\u2019q\u2018", "state = LIVE"]


@pytest.mark.parametrize("name", NAMES)
def test_what_has_quotes_is_found_by_its_name(guarded, name):
    of_type = guarded.answer("GetContextType", service.GetContextTypeRequest(type_name="T"))
    put = service.PutContextsRequest()
    put.contexts.add(type_id=of_type.context_type.id, name=name)
    guarded.answer("PutContexts", put)
    asked = service.GetContextsRequest()
    quoted = name.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
    asked.options.filter_query = f"name = '{quoted}'"
    assert [context.name for context in guarded.answer("GetContexts", asked).contexts] == [name]


def test_a_property_without_a_value_is_refused_with_its_place(guarded):
    request = service.PutExecutionsRequest()
    request.executions.add(type_id=1).custom_properties["empty"].SetInParent()
    assert guarded.ask("PutExecutions", request) is grpc.StatusCode.INVALID_ARGUMENT


@given(text=st.one_of(EVIL, QUERIES), kind=st.sampled_from([ARTIFACT, EXECUTION, CONTEXT]))
@settings(deadline=None)
def test_a_query_that_is_written_is_read_as_it_was(text, kind):
    try:
        condition = parse(text, kind)
    except UnknownQueryError:
        return
    if can_be_rendered(condition):
        assert render(parse(render(condition), kind)) == render(condition)
        assert not set(render(condition)) & set('"\\')
