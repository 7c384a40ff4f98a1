"""What is served over a database says so when that is away, and recovers by itself."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from http.cookiejar import CookieJar

import pytest

from penstock._tfx import metadata_store_pb2 as proto
from penstock._tfx import ml_metadata
from penstock.metadata.databases.patience import Patience
from penstock.metadata.store import connect, connection_config
from penstock_support import metadata_servers, outages
from penstock_support.processes import wait_until


class Page:
    """The page of a project, as a browser asks for it."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))

    def status(self) -> int:
        try:
            with self._opener.open(self._address, timeout=60) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code


@pytest.fixture
def made(cut_address) -> str:
    with connect(connection_config(cut_address)) as metadata:
        metadata.store.put_context_type(proto.ContextType(name="kind"))
    return cut_address


def test_pages_answer_503_while_the_database_is_away_and_recover(tmp_path, instance, proxy, made):
    project = outages.project_in(tmp_path, made)
    with project.command("ui") as process:
        try:
            page = Page(process.stdout.readline().strip())
            assert page.status() == 200
            instance.stop()
            assert page.status() == 503
            instance.start()
            assert page.status() == 200
            proxy.cut()
            began = time.monotonic()
            assert page.status() == 503
            assert time.monotonic() - began < 30
            proxy.mend()
            wait_until(lambda: page.status() == 200)
        finally:
            process.kill()


def test_a_metadata_server_is_unavailable_while_its_database_is_away_and_recovers(
    instance, address
):
    with metadata_servers.serving(address) as served:
        stock = ml_metadata.MetadataStore(
            proto.MetadataStoreClientConfig(host="localhost", port=served.port)
        )
        type_id = stock.put_context_type(proto.ContextType(name="kind"))
        stock.put_contexts([proto.Context(type_id=type_id, name="before")])
        instance.kill()
        with pytest.raises(ml_metadata.errors.UnavailableError, match="does not answer|waited"):
            stock.get_contexts()
        with pytest.raises(ml_metadata.errors.UnavailableError):
            stock.put_contexts([proto.Context(type_id=type_id, name="meanwhile")])
        instance.start()
        stock.put_contexts([proto.Context(type_id=type_id, name="after")])
        assert {context.name for context in stock.get_contexts()} == {"before", "after"}


def test_a_client_of_a_metadata_server_waits_for_the_database_behind_it(instance, address):
    with metadata_servers.serving(address) as served:
        connection = connection_config(f"grpc://localhost:{served.port}")
        with connect(connection, patience=Patience(60)) as metadata:
            type_id = metadata.store.put_execution_type(proto.ExecutionType(name="kind"))
            instance.stop()
            away = outages.starts_in(4, instance)
            [made] = metadata.store.put_executions([proto.Execution(type_id=type_id)])
            away.join()
            assert [found.id for found in metadata.store.get_executions()] == [made]


def test_a_short_command_says_how_long_it_has_waited(tmp_path, instance, address):
    with connect(connection_config(address)):
        pass
    instance.stop()
    try:
        with outages.project_in(tmp_path, address).command("runs") as process:
            _, said = process.communicate(timeout=60)
    finally:
        instance.start()
    assert process.returncode == 2
    assert "(waited 5 seconds). " in said
