"""A store behind a server that cannot be used is named with what is wrong and what to do."""

from __future__ import annotations

import http.server
import pickle
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from penstock._tfx import metadata_store_pb2 as proto
from penstock._tfx import ml_metadata
from penstock.config import read_config
from penstock.errors import StoreError
from penstock.execution.workers.forking import _redaction
from penstock.execution.workers.jobs import Job
from penstock.metadata.databases.distant import RemoteStore
from penstock.metadata.databases.opening import database_of
from penstock.metadata.server.serving import Protection
from penstock.metadata.store import connect, connection_config, without_password
from penstock_support import metadata_servers


def refusal(address: str) -> str:
    """Return the text of the error that connecting gives."""
    with pytest.raises(StoreError) as raised:
        with connect(connection_config(address), create=False, wait_seconds=0.1):
            pass
    return str(raised.value)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return str(tmp_path_factory.mktemp("served") / "metadata.sqlite")


@pytest.fixture(scope="module")
def signed(tmp_path_factory):
    return metadata_servers.certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def with_tls(path, signed):
    own = signed["server"]
    protection = Protection(
        own.certificate.read_bytes(),
        own.key.read_bytes(),
        client_roots=signed["authority"].certificate.read_bytes(),
        token="canary-1",
    )
    with metadata_servers.serving(path, protection) as server:
        yield server.port


@pytest.fixture(scope="module")
def plain(path):
    with metadata_servers.serving(path) as server:
        yield server.port


@pytest.fixture
def address(with_tls, signed):
    """Return the address of the server with TLS, with some of what it asks for."""

    def made(*, host="localhost", token="canary-1", ca="authority", client="client") -> str:
        files = [f"ca={signed[ca].certificate}"] if ca else []
        if client:
            files += [f"certificate={signed[client].certificate}", f"key={signed[client].key}"]
        account = f":{token}@" if token else ""
        return f"grpcs://{account}{host}:{with_tls}?{'&'.join(files)}"

    return made


def test_certificates_of_both_sides_and_a_token_open_a_store(address):
    with connect(connection_config(address()), create=False) as metadata:
        assert isinstance(metadata.store, RemoteStore)
        assert metadata.store.put_artifact_type(proto.ArtifactType(name="a type"))


def test_a_certificate_of_an_authority_that_is_not_known(address, with_tls):
    assert refusal(address(ca="other")) == (
        f"the metadata store grpcs://localhost:{with_tls} cannot be reached: its certificate is "
        "signed by nobody who is trusted here, or is not valid. Name the certificate of who signed "
        "it in the address: ...?ca=FILE."
    )


def test_a_certificate_that_has_expired(path, signed):
    own = signed["expired"]
    shown = Protection(own.certificate.read_bytes(), own.key.read_bytes())
    with metadata_servers.serving(path, shown) as server:
        address = f"grpcs://localhost:{server.port}?ca={signed['authority'].certificate}"
        said = refusal(address)
    assert said.endswith("its certificate has expired. Give the server one that is valid.")


def test_a_certificate_of_another_host(address, with_tls):
    assert refusal(address(host="127.0.0.1")) == (
        f"the metadata store grpcs://127.0.0.1:{with_tls} cannot be reached: its certificate is "
        "not one of 127.0.0.1. Write the host as the certificate has it."
    )


@pytest.mark.parametrize("client", [None, "other"])
def test_a_client_without_a_certificate_that_the_server_knows(address, client):
    said = refusal(address(client=client))
    assert "it may ask for a certificate of the client's" in said
    assert "Name yours in the address: ...?certificate=FILE&key=FILE." in said


def test_a_key_of_another_certificate(address, signed):
    said = refusal(address().replace(str(signed["client"].key), str(signed["other"].key)))
    assert "the certificates or the key that its address names are none" in said


def test_no_token(address, with_tls):
    assert refusal(address(token="")) == (
        f"the metadata store grpcs://localhost:{with_tls} refuses us: this metadata server asks "
        "for a token, and none came or not the right one: send it as `authorization: Bearer "
        "TOKEN`. Write a token's reference into the address: grpcs://:${env:NAME}@host:port."
    )


def test_a_wrong_token(address):
    said = refusal(address(token="canary-2"))
    assert "See that the variable in its address holds the token that the server was given" in said
    assert "canary" not in said


def test_tls_where_there_is_none_and_the_other_way(plain, with_tls, address):
    said = refusal(address().replace(str(with_tls), str(plain)))
    assert "it does not speak TLS. Write grpc:// in place of grpcs://." in said
    said = refusal(f"grpc://localhost:{with_tls}")
    assert "it may speak TLS. Write grpcs:// in place of grpc://." in said


def test_a_host_that_is_not_known():
    assert refusal("grpc://no-such-host.invalid") == (
        "the metadata store grpc://no-such-host.invalid:8080 cannot be reached: its host "
        "no-such-host.invalid is not known. See that the address in the profile is right."
    )


def test_a_port_where_nothing_answers():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert refusal(f"grpc://127.0.0.1:{port}") == (
        f"the metadata store grpc://127.0.0.1:{port} cannot be reached: Failed to connect to "
        "remote host: Connection refused. See that penstock metadata serve runs there, and that "
        "the address is right."
    )


def test_a_server_of_the_web():
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as web:
        threading.Thread(target=web.serve_forever, daemon=True).start()
        said = refusal(f"grpc://127.0.0.1:{web.server_port}")
        web.shutdown()
    assert "what answers there does not speak gRPC" in said


def test_a_server_of_another_service():
    other = grpc.server(ThreadPoolExecutor(1))
    port = other.add_insecure_port("127.0.0.1:0")
    other.start()
    assert refusal(f"grpc://127.0.0.1:{port}") == (
        f"what answers at grpc://127.0.0.1:{port} is no ML Metadata server. See that the host and "
        "the port in the profile are right."
    )
    other.stop(0).wait()


def test_a_server_that_is_cut_off_in_a_change_is_named_with_the_next_step(tmp_path):
    with metadata_servers.serving(str(tmp_path / "db")) as server:
        with connect(connection_config(f"grpc://localhost:{server.port}")) as metadata:
            store = metadata.store
            error = ml_metadata.errors.UnavailableError("Socket closed")
            with pytest.raises(StoreError) as raised:
                store._raise(error, "PutExecution")
    assert str(raised.value) == (
        f"the metadata store grpc://localhost:{server.port} was cut off in PutExecution: Socket "
        "closed. When its server runs again, go on with the run: penstock resume RUN."
    )


def test_what_the_store_behind_the_server_says_is_passed_on(tmp_path):
    with metadata_servers.serving(str(tmp_path / "db")) as server:
        with connect(connection_config(f"grpc://localhost:{server.port}")) as metadata:
            type_id = metadata.store.put_context_type(proto.ContextType(name="kind"))
            (tmp_path / "db").write_bytes(b"")
            with pytest.raises(StoreError) as raised:
                metadata.store.put_contexts([proto.Context(type_id=type_id, name="one")])
    said = str(raised.value)
    assert f"grpc://localhost:{server.port} failed: the metadata store {tmp_path / 'db'} " in said


def test_ml_metadata_s_own_settings_name_a_server_too(plain):
    settings = proto.MetadataStoreClientConfig(host="localhost", port=plain)
    with connect(settings, create=False) as metadata:
        assert isinstance(metadata.store, RemoteStore)


def test_ml_metadata_s_own_settings_keep_their_certificates(signed):
    settings = proto.MetadataStoreClientConfig(host="h", port=1)
    settings.ssl_config.custom_ca = signed["authority"].certificate.read_text()
    database = database_of(settings)
    assert database.where == "grpcs://h:1"
    assert database.access.roots == signed["authority"].certificate.read_bytes()


def test_an_address_has_its_parts():
    access = connection_config("grpcs://:p%40ss@[::1]")
    assert (access.target, access.tls, access.token) == ("[::1]:8080", True, "p@ss")


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("grpc://host:80/database", "is not the address of a metadata store"),
        ("grpcs://canary@host", "'grpcs://***@host' has no token where one is expected"),
        ("grpcs://me:canary@host", "Write it after a colon: grpcs://:${env:NAME}@host:port."),
        ("grpcs://:canary@host?cA=x", "has 'cA' after the question mark, which is not known"),
        ("grpc://:canary@host?ca=x", "names certificates, and has no TLS"),
        ("grpcs://host?certificate=x", "a certificate of the client's or a key, and not both"),
        ("grpcs://host?ca=/no/such/file", "cannot be read: /no/such/file: No such file"),
    ],
)
def test_an_address_that_is_wrong_is_said_to_be(address, said):
    with pytest.raises(StoreError) as raised:
        connection_config(address)
    assert said in str(raised.value)
    assert "canary" not in str(raised.value)


def test_a_token_is_shown_neither_in_an_address_nor_in_what_is_made_of_it():
    assert without_password("grpcs://:canary@host:1?ca=x") == "grpcs://***@host:1?ca=x"
    assert "canary" not in repr(connection_config("grpc://:canary@host"))


def test_certificates_count_from_the_configuration_s_folder(tmp_path):
    path = tmp_path / "a project" / "penstock.toml"
    path.parent.mkdir()
    (path.parent / "ca.pem").write_text("an authority")
    path.write_text('[profiles.default]\nmetadata = "grpcs://host?ca=ca.pem"\n')
    address = read_config(path).profile().metadata_address()
    assert connection_config(address).roots == b"an authority"


def test_a_worker_s_log_does_not_show_the_token():
    access = pickle.loads(pickle.dumps(connection_config("grpc://:canary-1@host")))
    job = Job("driver", b"", proto.Artifact(), "log", metadata_connection=access)
    assert _redaction(job).text("it says canary-1") == "it says ***"
