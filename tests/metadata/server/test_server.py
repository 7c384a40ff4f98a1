"""The metadata server, asked by ml-metadata's own client."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections import Counter

import grpc
import pytest

from penstock._tfx import metadata_store_pb2 as proto
from penstock._tfx import metadata_store_service_pb2 as service
from penstock._tfx import ml_metadata
from penstock.errors import StoreError
from penstock.metadata.databases.remote import SERVICE
from penstock.metadata.server import serving as metadata_server
from penstock.metadata.server.serving import Protection, as_detail
from penstock.metadata.store import connect, connection_config
from penstock_support import IMPORT_PATH, PROGRAMS, metadata_servers

METHODS = service.DESCRIPTOR.services_by_name["MetadataStoreService"].methods


def stock_client(port: int, **settings) -> ml_metadata.MetadataStore:
    config = proto.MetadataStoreClientConfig(host="localhost", port=port, **settings)
    return ml_metadata.MetadataStore(config)


def stock_writers(port: int, processes: int, how_many: int) -> list:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(PROGRAMS / "stock_writers.py")]
        + [str(number) for number in (port, processes, how_many)],
        env={**os.environ, "PYTHONPATH": IMPORT_PATH},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("served") / "metadata.sqlite"


@pytest.fixture(scope="module")
def served(path):
    with metadata_servers.serving(str(path)) as server:
        yield server


@pytest.fixture(scope="module")
def stock(served):
    return stock_client(served.port)


@pytest.fixture(scope="module")
def direct(tmp_path_factory):
    """A store of the same contents that nobody serves."""
    path = tmp_path_factory.mktemp("direct") / "metadata.sqlite"
    with connect(connection_config(str(path))) as metadata:
        yield metadata.store


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_each_method_that_the_installed_ml_metadata_declares_is_served(served, method):
    with grpc.insecure_channel(f"localhost:{served.port}") as channel:
        code, text = grpc.StatusCode.OK, ""
        try:
            channel.unary_unary(f"/{SERVICE}/{method.name}")(b"", timeout=30)
        except grpc.RpcError as error:
            code, text = error.code(), error.details()
    if method.name == "GetLineageGraph":
        assert text.endswith("has no GetLineageGraph; GetLineageSubgraph takes its place")
    else:
        expected = ("OK", "NOT_FOUND", "INVALID_ARGUMENT", "ALREADY_EXISTS")
        assert code.name in expected, text


def test_another_method_is_not(served):
    with grpc.insecure_channel(f"localhost:{served.port}") as channel:
        with pytest.raises(grpc.RpcError) as raised:
            channel.unary_unary(f"/{SERVICE}/DropTables")(b"", timeout=30)
    assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_what_is_no_request_is_said_to_be_none(served):
    with grpc.insecure_channel(f"localhost:{served.port}") as channel:
        with pytest.raises(grpc.RpcError) as raised:
            channel.unary_unary(f"/{SERVICE}/PutArtifacts")(b"\xff\xff", timeout=30)
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert raised.value.details() == "this is no PutArtifactsRequest"


WRONG = {
    "a type that is not there": lambda store: store.get_artifact_type("no such type"),
    "an artifact of no type": lambda store: store.put_artifacts([proto.Artifact(uri="x")]),
    "an artifact of a type that is not there": lambda store: store.put_artifacts(
        [proto.Artifact(type_id=12345)]
    ),
    "a type with other properties": lambda store: [
        store.put_artifact_type(proto.ArtifactType(name="changed", properties={name: kind}))
        for name, kind in (("a", proto.INT), ("a", proto.STRING))
    ],
    "a name that is taken": lambda store: [
        store.put_contexts([proto.Context(type_id=store.put_context_type(kind), name="one")])
        for kind in [proto.ContextType(name="kind")] * 2
    ],
    "a property that its type has not": lambda store: store.put_executions(
        [
            proto.Execution(
                type_id=store.put_execution_type(proto.ExecutionType(name="plain")),
                properties={"more": proto.Value(int_value=1)},
            )
        ]
    ),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=list(WRONG))
def test_an_error_is_the_same_as_without_a_server(stock, direct, wrong):
    with pytest.raises(ml_metadata.errors.StatusError) as without:
        wrong(direct)
    with pytest.raises(ml_metadata.errors.StatusError) as through:
        wrong(stock)
    assert type(through.value) is type(without.value)
    assert words(through.value) == words(without.value)


def words(error: Exception) -> list[str]:
    """Return an error's words but for times; messages are printed with spaces that vary."""
    return re.sub(r"\b\d{13}\b", "TIME", str(error)).split()


def test_an_error_that_is_too_long_for_a_header_is_cut(stock):
    type_id = stock.put_artifact_type(proto.ArtifactType(name="long"))
    artifact = proto.Artifact(type_id=type_id, name="one")
    artifact.custom_properties["text"].string_value = "\N{SNOWMAN}\n" * 50_000
    stock.put_artifacts([artifact])
    with pytest.raises(ml_metadata.errors.AlreadyExistsError, match="already exists") as raised:
        stock.put_artifacts([artifact])
    assert str(raised.value).endswith("...")


def test_a_short_error_is_told_whole():
    assert as_detail("Füße, \ud800 and 数据\n") == "Füße, \ud800 and 数据\n"


def test_requests_and_responses_may_be_long(served):
    stock = stock_client(
        served.port,
        channel_arguments=proto.GrpcChannelArguments(max_receive_message_length=64 * 2**20),
    )
    type_id = stock.put_execution_type(proto.ExecutionType(name="large"))
    execution = proto.Execution(type_id=type_id)
    execution.custom_properties["text"].string_value = "x" * (20 * 2**20)
    [made] = stock.put_executions([execution])
    [found] = stock.get_executions_by_id([made])
    assert found.custom_properties == execution.custom_properties


def test_parents_and_children_of_several_contexts_are_found_at_once(served, stock):
    type_id = stock.put_context_type(proto.ContextType(name="family"))
    parent, first, second = stock.put_contexts(
        [proto.Context(type_id=type_id, name=name) for name in ("parent", "first", "second")]
    )
    stock.put_parent_contexts(
        [proto.ParentContext(parent_id=parent, child_id=child) for child in (first, second)]
    )
    with grpc.insecure_channel(f"localhost:{served.port}") as channel:

        def ask(method, request):
            response = getattr(service, f"{method}Response")
            call = channel.unary_unary(
                f"/{SERVICE}/{method}", type(request).SerializeToString, response.FromString
            )
            return call(request, timeout=30).contexts

        children = ask(
            "GetChildrenContextsByContexts",
            service.GetChildrenContextsByContextsRequest(context_ids=[parent]),
        )
        parents = ask(
            "GetParentContextsByContexts",
            service.GetParentContextsByContextsRequest(context_ids=[first, second]),
        )
    assert {c.id for c in children[parent].children_contexts} == {first, second}
    assert {key: [c.id for c in value.parent_contexts] for key, value in parents.items()} == {
        first: [parent],
        second: [parent],
    }


def check_what_was_written(results: list, store, processes: int, how_many: int) -> None:
    assert [found["types"] for found in results] == [results[0]["types"]] * processes
    assert {found["context"] for found in results} == {results[0]["context"]}
    made = {tuple(pair) for found in results for pair in found["made"]}
    executions = store.get_executions_by_type("writing")
    artifacts = store.get_artifacts_by_type("written")
    assert {e.id for e in executions} == {execution for execution, _ in made}
    assert {a.id for a in artifacts} == {artifact for _, artifact in made}
    names = {e.id: e.name for e in executions}
    uris = {a.id: a.uri for a in artifacts}
    assert all(names[execution] == uris[artifact] for execution, artifact in made)
    events = store.get_events_by_execution_ids(list(names))
    assert Counter((e.execution_id, e.artifact_id) for e in events) == Counter(made)
    in_context = store.get_executions_by_context(results[0]["context"])
    assert len(in_context) == len(made) == processes * how_many


def test_eight_stock_clients_write_at_once_and_nothing_is_lost(served, stock):
    results = stock_writers(served.port, 8, 12)
    check_what_was_written(results, stock, 8, 12)


def test_they_do_also_where_a_database_server_is_behind(server):
    address = server.address("served_to_stock_clients")
    with metadata_servers.serving(address) as served:
        results = stock_writers(served.port, 8, 6)
    with connect(connection_config(address), create=False) as metadata:
        check_what_was_written(results, metadata.store, 8, 6)


def test_a_backslash_reaches_postgresql_and_comes_back(postgresql):
    with metadata_servers.serving(postgresql.address("served_backslashes")) as served:
        stock = stock_client(served.port)
        type_id = stock.put_context_type(proto.ContextType(name=r"a\type"))
        stock.put_contexts([proto.Context(type_id=type_id, name=r"it's\' a name")])
        [found] = stock.get_contexts_by_type(r"a\type")
    assert found.name == r"it's\' a name"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_a_process_that_is_killed_is_replaced(tmp_path, number):
    with metadata_servers.serving(str(tmp_path / "metadata.sqlite")) as served:
        stock = stock_client(served.port)
        stock.put_artifact_type(proto.ArtifactType(name="before"))
        [store] = served._stores._all
        os.kill(store._client.process_id, number)
        assert [t.name for t in stock.get_artifact_types()] == ["before"]


def test_calls_whose_requests_do_not_come_hold_up_nobody_and_are_ended(tmp_path):
    path, ended = str(tmp_path / "metadata.sqlite"), threading.Event()

    def nothing():
        ended.wait()
        yield b""

    with (
        metadata_servers.serving(path, request_seconds=3) as served,
        grpc.insecure_channel(f"localhost:{served.port}") as channel,
    ):
        silent = channel.stream_unary(f"/{SERVICE}/GetArtifactTypes")
        calls = [silent.future(nothing(), wait_for_ready=True) for _ in range(80)]
        try:
            assert channel.unary_unary(f"/{SERVICE}/GetArtifactTypes")(b"", timeout=2) == b""
            assert not [call for call in calls if call.done()]
            codes = {call.code() for call in calls}
        finally:
            ended.set()
    assert codes == {grpc.StatusCode.CANCELLED}


def test_a_port_that_is_taken_is_a_named_error(served, tmp_path):
    connection = connection_config(str(tmp_path / "metadata.sqlite"))
    with pytest.raises(StoreError) as raised:
        metadata_server.start(connection, "localhost", served.port, Protection())
    assert f"the metadata server cannot be started at localhost:{served.port}" in str(raised.value)
    assert "--port 0 takes a free port" in str(raised.value)


@pytest.fixture(scope="module")
def signed(tmp_path_factory):
    return metadata_servers.certificates(tmp_path_factory.mktemp("certificates"))


def protection(signed, **more) -> Protection:
    own = signed["server"]
    return Protection(own.certificate.read_bytes(), own.key.read_bytes(), **more)


def ssl_config(signed, client: str | None = None):
    config = proto.MetadataStoreClientConfig.SSLConfig(
        custom_ca=signed["authority"].certificate.read_text()
    )
    if client:
        config.client_key = signed[client].key.read_text()
        config.server_cert = signed[client].certificate.read_text()
    return config


def test_a_stock_client_speaks_tls(signed, path):
    with metadata_servers.serving(str(path), protection(signed)) as served:
        stock = stock_client(served.port, ssl_config=ssl_config(signed))
        assert stock.put_artifact_type(proto.ArtifactType(name="by TLS"))


def test_a_stock_client_shows_its_certificate_where_one_is_asked_for(signed, path):
    roots = signed["authority"].certificate.read_bytes()
    with metadata_servers.serving(str(path), protection(signed, client_roots=roots)) as served:
        known = stock_client(served.port, ssl_config=ssl_config(signed, "client"))
        assert known.put_artifact_type(proto.ArtifactType(name="by certificate"))
        for client in (None, "other"):
            stranger = stock_client(served.port, ssl_config=ssl_config(signed, client))
            with pytest.raises(ml_metadata.errors.UnavailableError):
                stranger.get_artifact_types()


def test_a_stock_client_without_the_token_is_refused_and_told_why(path):
    with metadata_servers.serving(str(path), Protection(token="canary-8d1f")) as served:
        with pytest.raises(ml_metadata.errors.UnauthenticatedError) as raised:
            stock_client(served.port).get_artifact_types()
        # Refused before all of it is read.
        large = proto.ArtifactType(name="x" * 30_000_000)
        with pytest.raises(ml_metadata.errors.StatusError):
            stock_client(served.port).put_artifact_type(large)
    assert str(raised.value) == (
        "this metadata server asks for a token, and none came or not the right one: send it as "
        "`authorization: Bearer TOKEN`"
    )


@pytest.mark.parametrize(
    "sent", ["Bearer canary-8d1", "Bearer canary-8d1ff", "Bearer ", "canary-8d1f"]
)
def test_a_token_that_is_not_the_server_s_is_refused(path, sent):
    with metadata_servers.serving(str(path), Protection(token="canary-8d1f")) as served:
        with grpc.insecure_channel(f"localhost:{served.port}") as channel:
            call = channel.unary_unary(f"/{SERVICE}/GetArtifactTypes")
            with pytest.raises(grpc.RpcError) as raised:
                call(b"", metadata=[("authorization", sent)], timeout=30)
            assert call(b"", metadata=[("authorization", "Bearer canary-8d1f")], timeout=30)
    assert raised.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert "canary" not in raised.value.details()
