"""A model is asked by the Open Inference Protocol over gRPC."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from penstock_support.prediction_server import PredictionServer, start_server, wait_for

pytestmark = pytest.mark.needs("sklearn", "uvloop", "open_inference")


@pytest.fixture(scope="module")
def serving(
    saved: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[PredictionServer, Any]]:
    """A server, and a client of it."""
    folder = tmp_path_factory.mktemp("grpc")
    server = start_server(folder, f"people={saved / '1'}", "--grpc-port", "0")
    server.wait_until_ready()
    with client_of(server) as client:
        yield server, client
    server.end()


@pytest.fixture
def client(serving: tuple[PredictionServer, Any]) -> Any:
    return serving[1]


class client_of:  # noqa: N801  # it reads as a function
    """A client that is closed in the end."""

    def __init__(self, server: PredictionServer) -> None:
        self._channel = grpc.insecure_channel(server.known["grpc"])

    def __enter__(self) -> Any:
        from open_inference.grpc import service

        return service.GRPCInferenceServiceStub(self._channel)

    def __exit__(self, *_: object) -> None:
        self._channel.close()


def request_of(age: list[int], income: list[float], **more: Any) -> Any:
    from open_inference.grpc import protocol

    request = protocol.ModelInferRequest(model_name="people", **more)
    request.inputs.add(name="age", datatype="INT64", shape=[len(age)]).contents.int64_contents[
        :
    ] = age
    request.inputs.add(name="income", datatype="FP64", shape=[len(income)]).contents.fp64_contents[
        :
    ] = income
    return request


def refused(client: Any, request: Any) -> tuple[Any, str]:
    with pytest.raises(grpc.RpcError) as raised:
        client.ModelInfer(request)
    return raised.value.code(), raised.value.details()


def test_typed_contents_are_answered_by_typed_contents(client: Any) -> None:
    response = client.ModelInfer(request_of([70, 20], [2e4, 2e4], id="7"))
    outputs = {output.name: output for output in response.outputs}
    assert (response.id, response.model_name, response.model_version) == ("7", "people", "1")
    assert list(outputs["prediction"].contents.bytes_contents) == [b"stays", b"leaves"]
    assert list(outputs["probabilities"].shape) == [2, 2]
    assert sum(outputs["probabilities"].contents.fp64_contents) == pytest.approx(2)


def test_raw_contents_are_answered_by_raw_contents(client: Any) -> None:
    import numpy as np

    request = request_of([70, 20], [2e4, 2e4])
    for tensor in request.inputs:
        tensor.ClearField("contents")
    request.raw_input_contents.extend(
        [np.array([70, 20]).tobytes(), np.array([2e4, 2e4]).tobytes()]
    )
    request.outputs.add(name="probabilities")
    response = client.ModelInfer(request)
    [probabilities] = response.raw_output_contents
    assert np.frombuffer(probabilities).reshape(2, 2).sum() == pytest.approx(2)
    assert [output.name for output in response.outputs] == ["probabilities"]


def test_health_and_metadata(client: Any) -> None:
    from open_inference.grpc import protocol

    assert client.ServerLive(protocol.ServerLiveRequest()).live
    assert client.ServerReady(protocol.ServerReadyRequest()).ready
    assert client.ModelReady(protocol.ModelReadyRequest(name="people")).ready
    assert client.ServerMetadata(protocol.ServerMetadataRequest()).name == "penstock"
    metadata = client.ModelMetadata(protocol.ModelMetadataRequest(name="people"))
    assert [(column.name, column.datatype) for column in metadata.inputs] == [
        ("age", "INT64"),
        ("income", "FP64"),
    ]


def test_a_version_can_be_named(client: Any) -> None:
    assert client.ModelInfer(request_of([70], [1.0], model_version="1")).model_version == "1"
    code, said = refused(client, request_of([70], [1.0], model_version="9"))
    assert code == grpc.StatusCode.NOT_FOUND
    assert said == "there is no version 9 of people here, but 1"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda request: request.inputs.pop(),
            "the model needs a column 'income', of type float64",
        ),
        (
            lambda request: request.inputs[0].contents.fp32_contents.append(1),
            "expected int64_contents for INT64, got int64_contents, fp32_contents (column age)",
        ),
        (
            lambda request: setattr(request.inputs[0], "datatype", "FLOAT"),
            "expected a datatype of BOOL",
        ),
        (
            lambda request: request.inputs[0].shape.append(3),
            "the shape [1, 3] has 3 values, and the data 1 (column age)",
        ),
        (
            lambda request: request.raw_input_contents.append(b"1"),
            "expected raw contents for 2 inputs, got 1 of them",
        ),
        (lambda request: request.outputs.add(name="x"), "expected outputs of prediction"),
    ],
)
def test_a_bad_request_is_refused_with_what_is_wrong(
    client: Any, change: Callable[[Any], Any], said: str
) -> None:
    request = request_of([70], [1.0])
    change(request)
    code, answer = refused(client, request)
    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert said in answer


def test_an_unknown_model_is_not_found(client: Any) -> None:
    request = request_of([70], [1.0])
    request.model_name = "others"
    assert refused(client, request) == (
        grpc.StatusCode.NOT_FOUND,
        "there is no model 'others' here, but people",
    )


def test_its_answers_are_counted_with_the_others(serving: tuple[PredictionServer, Any]) -> None:
    server, client = serving
    before = server.get("/metrics")[1]
    client.ModelInfer(request_of([70], [1.0]))
    after = server.get("/metrics")[1]

    def answered(text: str) -> float:
        name = 'penstock_answers_total{model="people",role="production",status="200",version="1"}'
        return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(name))

    assert answered(after) == answered(before) + 1


def test_a_token_is_asked_for(start: Callable[..., PredictionServer]) -> None:
    server = start("--grpc-port", "0", "--token", "abc")
    with client_of(server) as client:
        code, said = refused(client, request_of([70], [1.0]))
        assert code == grpc.StatusCode.UNAUTHENTICATED
        assert said == "expected the metadata authorization: Bearer, with the server's token"
        metadata = [("authorization", "Bearer abc")]
        assert client.ModelInfer(request_of([70], [1.0]), metadata=metadata).outputs


def test_without_a_port_grpc_is_not_served(start: Callable[..., PredictionServer]) -> None:
    assert "grpc" not in start().known


def test_sigterm_answers_what_was_asked_over_grpc(start: Callable[..., PredictionServer]) -> None:
    import os
    import signal

    server = start("--grpc-port", "0", "--timeout", "20")
    [worker] = server.workers()
    with client_of(server) as client:
        os.kill(worker, signal.SIGSTOP)
        asked = client.ModelInfer.future(request_of([70], [1.0]))
        waits = 'penstock_waiting{model="people"} 1.0'
        wait_for(lambda: waits in server.get("/metrics")[1], server)
        server.process.send_signal(signal.SIGTERM)
        os.kill(worker, signal.SIGCONT)
        assert asked.result(timeout=30).outputs
    assert server.process.wait(timeout=30) in (0, -signal.SIGTERM)
