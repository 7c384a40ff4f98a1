"""`penstock metadata serve`, as it is started and stopped, and runs through it."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import threading

import pytest
from click.testing import CliRunner

from penstock import LocalRunner
from penstock._tfx import metadata_store_pb2 as proto
from penstock._tfx import ml_metadata
from penstock.errors import ConfigError
from penstock.execution.steps import Step
from penstock.metadata.store import connect, connection_config
from penstock.runners.local.display import Silent
from penstock.surfaces.cli.main import penstock
from penstock_support import IMPORT_PATH, metadata_servers
from penstock_support.example_components import training
from penstock_support.metadata_servers import Command
from penstock_support.resuming_components import OnlyHere

TOKEN = "canary-5c0ffee-0f-a-token"


def refusal(*arguments: str) -> str:
    """Return the text of the error that the command gives before it starts a server."""
    result = CliRunner().invoke(penstock, ["metadata", "serve", *arguments])
    assert isinstance(result.exception, ConfigError)
    return str(result.exception)


def test_a_stopped_server_finishes_the_calls_under_way(tmp_path):
    path = tmp_path / "metadata.sqlite"
    with Command("--store", str(path), "--port", "0") as command:
        stock = ml_metadata.MetadataStore(
            proto.MetadataStoreClientConfig(host="localhost", port=command.port)
        )
        stock.put_artifact_type(proto.ArtifactType(name="first"))
        done: list[int] = []
        with open(f"{path}.lock") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            caller = threading.Thread(
                target=lambda: done.append(
                    stock.put_artifact_type(proto.ArtifactType(name="second"))
                )
            )
            caller.start()
            # Its process holds the file open as long as it waits for the lock.
            metadata_servers.wait_until(lambda: metadata_servers.waits_for(f"{path}.lock"))
            command.process.send_signal(signal.SIGTERM)
            command.wait_for("stopping: calls under way come to their end")
            assert not done
        caller.join(timeout=60)
        assert command.wait() == 0
    assert len(done) == 1
    with connect(connection_config(str(path)), create=False) as metadata:
        assert metadata.store.get_artifact_type("second").id == done[0]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_no_process_of_a_server_outlives_it(tmp_path, number):
    with Command("--store", str(tmp_path / "metadata.sqlite"), "--port", "0") as command:
        stock = ml_metadata.MetadataStore(
            proto.MetadataStoreClientConfig(host="localhost", port=command.port)
        )
        stock.get_artifact_types()
        assert len(command.family()) == 2
        command.end(number)
        metadata_servers.wait_until(lambda: not command.family())


def test_a_host_that_others_reach_asks_for_tls():
    assert refusal("--host", "0.0.0.0") == (
        "without TLS, 0.0.0.0 would be open to whoever listens on the network. Give "
        "--tls-certificate and --tls-key; or --without-tls, where a service mesh or a network of "
        "your own protects it."
    )


def test_what_is_not_protected_on_purpose_is_warned_of(tmp_path):
    arguments = ("--host", "0.0.0.0", "--without-tls", "--store", str(tmp_path / "db"))
    with Command(*arguments, "--port", "0") as command:
        assert command.port
        assert "warning: without TLS all that is sent, tokens too, can be read" in command.output
        assert "warning: without --token or --client-ca whoever reaches it" in command.output


def test_a_server_for_this_machine_without_a_token_warns_of_its_other_users(tmp_path):
    with Command("--store", str(tmp_path / "db"), "--port", "0") as command:
        assert command.port
        assert command.output.count("warning: ") == 1
        assert "every user of this machine reads and writes the store" in command.output


def test_a_secret_that_is_written_down_is_refused():
    said = refusal("--token", TOKEN)
    assert "--token has a token written down, where all that list processes see it" in said
    assert "write '${env:NAME}' in its place" in said
    said += refusal("--store", f"mysql://me:{TOKEN}@host/db")
    assert "a password is written down in the address of the metadata store" in said
    assert "canary" not in said


def test_a_token_that_is_not_set_is_named():
    said = refusal("--token", "${env:NO_SUCH_TOKEN}")
    assert "the environment variable NO_SUCH_TOKEN is not set" in said


def test_a_token_that_no_header_could_carry_is_refused(monkeypatch):
    monkeypatch.setenv("TOKEN", "canary with spaces")
    assert refusal("--token", "${env:TOKEN}") == (
        "what ${env:TOKEN} holds can be no token: expected letters, digits and signs of ASCII."
    )


def test_a_certificate_without_its_key_is_refused(tmp_path):
    certificate = tmp_path / "server.pem"
    assert "server.pem cannot be read: No such file" in refusal(
        "--tls-certificate", str(certificate)
    )
    certificate.write_text("no certificate")
    assert "server.pem is not in PEM" in refusal("--tls-certificate", str(certificate))
    certificate.write_text("-----BEGIN CERTIFICATE-----")
    assert "TLS needs both --tls-certificate and --tls-key" in refusal(
        "--tls-certificate", str(certificate)
    )


class Restarts:
    """Stops a server when a node takes a step, and starts it again a moment later."""

    def __init__(self, command: Command, arguments: tuple[str, ...]) -> None:
        self.commands = [command]
        self._arguments = (*arguments, "--port", str(command.port))

    def __call__(self, step: Step, node_id: str) -> None:
        if (step, node_id) == (Step.REPORTED, "TrainModel"):
            self.commands[0].end()
            starter = threading.Timer(0.5, lambda: self.commands.append(Command(*self._arguments)))
            starter.start()


def test_a_server_that_is_restarted_does_not_end_a_run(tmp_path):
    arguments = ("--store", str(tmp_path / "metadata.sqlite"))
    with Command(*arguments, "--port", "0") as command:
        restarts = Restarts(command, arguments)
        try:
            result = LocalRunner(
                pipeline_root=str(tmp_path / "root"),
                metadata=f"grpc://localhost:{command.port}",
                parallelism=1,
                display=Silent(),
                on_step=OnlyHere(restarts),
            ).run(training)
        finally:
            for other in restarts.commands[1:]:
                other.end()
    assert len(restarts.commands) == 2
    assert {node.state.value for node in result.nodes.values()} == {"done"}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project whose store is behind a server with TLS and a token; what was said about it."""
    folder = tmp_path_factory.mktemp("project")
    signed = metadata_servers.certificates(folder)
    environment = {**os.environ, "STORE_TOKEN": TOKEN}
    with Command(
        *("--store", str(folder / "served" / "metadata.sqlite"), "--port", "0"),
        *("--tls-certificate", str(signed["server"].certificate)),
        *("--tls-key", str(signed["server"].key), "--token", "${env:STORE_TOKEN}"),
        env=environment,
    ) as command:
        (folder / "mine.py").write_text(
            f"import sys\nsys.path.insert(0, {IMPORT_PATH!r})\n"
            "from penstock_support.example_components import training\n"
        )
        address = f"grpcs://:${{env:STORE_TOKEN}}@localhost:{command.port}?ca=authority.pem"
        (folder / "penstock.toml").write_text(
            '[pipelines]\ntraining = "mine.py:training"\n'
            f'[profiles.default]\nmetadata = "{address}"\n'
        )

        def call(*arguments: str, token: str = TOKEN) -> str:
            done = subprocess.run(
                [sys.executable, "-W", "ignore", "-m", "penstock", *arguments],
                cwd=folder,
                env={**environment, "STORE_TOKEN": token},
                capture_output=True,
                text=True,
                check=False,
            )
            return done.stdout + done.stderr

        said = {"run": call("run", "training")}
        for request in ("runs", "show latest", "plan training", "lineage 1", "gc", "resume"):
            said[request] = call(*request.split())
        said["wrong token"] = call("runs", token="canary-of-another")
        command.end()
        said["server"] = command.output
    return folder, said


def test_each_command_works_through_a_server_with_tls_and_a_token(project):
    _, said = project
    assert "next       penstock show" in said["run"]
    assert "training" in said["runs"]
    assert "TrainModel" in said["show latest"]
    assert "MakeExamples" in said["plan training"]
    assert "MakeExamples" in said["lineage 1"]
    assert "keep " in said["gc"]
    assert "nothing to resume" in said["resume"]


def test_a_wrong_token_is_a_named_error(project):
    _, said = project
    assert "refuses us: this metadata server asks for a token, and none came" in said["wrong token"]
    assert "See that the variable in its address holds the token" in said["wrong token"]


def test_the_token_is_nowhere(project):
    folder, said = project
    assert [request for request, output in said.items() if "canary" in output] == []
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) > 10
    assert [path for path in files if TOKEN.encode() in path.read_bytes()] == []
