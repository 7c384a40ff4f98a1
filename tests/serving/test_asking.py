"""A model is asked by three protocols over HTTP, and says what is wrong with a request."""

from __future__ import annotations

import base64
import gzip
import json
from typing import Any

import pytest

from penstock_support.prediction_server import PredictionServer

pytestmark = pytest.mark.needs("sklearn", "uvloop")

Row = dict[str, Any]


def test_one_row_is_answered_by_one_object(server: PredictionServer, row: Row) -> None:
    status, answer = server.post("/predict/people", row)
    assert status == 200
    assert answer["prediction"] == "stays"
    assert set(answer["probabilities"]) == {"leaves", "stays"}
    assert sum(answer["probabilities"].values()) == pytest.approx(1)


def test_several_rows_are_answered_by_a_list(server: PredictionServer, row: Row) -> None:
    _, answer = server.post("/predict/people", [row, {**row, "age": 20}])
    assert [one["prediction"] for one in answer] == ["stays", "leaves"]


def test_columns_are_answered_by_a_list(server: PredictionServer) -> None:
    _, answer = server.post("/predict/people", {"age": [70, 20], "income": [2e4, 2e4]})
    assert [one["prediction"] for one in answer] == ["stays", "leaves"]


def test_an_address_says_how_it_is_asked(server: PredictionServer) -> None:
    status, answer = server.get("/predict/people")
    assert status == 200
    assert [column["name"] for column in answer["inputs"]] == ["age", "income"]
    assert server.post("/predict/people", answer["example"])[0] == 200


def test_tensorflow_servings_rows(server: PredictionServer, row: Row) -> None:
    status, answer = server.post("/v1/models/people:predict", {"instances": [row]})
    assert status == 200
    assert answer["predictions"][0]["prediction"] == "stays"


def test_tensorflow_servings_rows_as_lists(server: PredictionServer) -> None:
    _, answer = server.post("/v1/models/people:predict", {"instances": [[70, 2e4], [20, 2e4]]})
    assert [one["prediction"] for one in answer["predictions"]] == ["stays", "leaves"]


def test_tensorflow_servings_columns(server: PredictionServer) -> None:
    content = {"inputs": {"age": [70, 20], "income": [2e4, 2e4]}}
    _, answer = server.post("/v1/models/people/versions/1:predict", content)
    assert answer["outputs"]["prediction"] == ["stays", "leaves"]


def test_tensorflow_servings_serialized_examples(server: PredictionServer) -> None:
    import pyarrow as pa

    from penstock.data.coding import examples

    batch = pa.table({"age": [70], "income": [2e4]}).to_batches()[0]
    [record] = examples.encode(batch)
    instance = {"b64": base64.b64encode(record).decode()}
    _, answer = server.post("/v1/models/people:predict", {"instances": [instance]})
    assert answer["predictions"][0]["prediction"] == "stays"


def test_classify_gives_labels_and_scores(server: PredictionServer) -> None:
    content = {"context": {"income": 2e4}, "examples": [{"age": 70}, {"age": 20}]}
    status, answer = server.post("/v1/models/people:classify", content)
    assert status == 200
    assert [[label for label, _ in scores] for scores in answer["results"]] == [
        ["leaves", "stays"]
    ] * 2


def test_a_classifier_is_no_regression(server: PredictionServer, row: Row) -> None:
    status, answer = server.post("/v1/models/people:regress", {"examples": [row]})
    assert status == 400
    assert "the model people is no regression" in answer["error"]


def test_the_status_is_tensorflow_servings(server: PredictionServer) -> None:
    _, answer = server.get("/v1/models/people")
    [status] = answer["model_version_status"]
    assert (status["version"], status["state"]) == ("1", "AVAILABLE")


def test_the_metadata_is_tensorflow_servings(server: PredictionServer) -> None:
    _, answer = server.get("/v1/models/people/metadata")
    assert answer["model_spec"] == {"name": "people", "signature_name": "", "version": "1"}
    signature = answer["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert signature["inputs"]["age"]["dtype"] == "DT_INT64"


def test_an_unknown_version_is_not_found(server: PredictionServer, row: Row) -> None:
    status, answer = server.post("/v1/models/people/versions/9:predict", {"instances": [row]})
    assert (status, answer["error"]) == (404, "there is no version 9 of people here, but 1")


@pytest.mark.parametrize("number", ["9" * 5000, "-1", "x", "%D9%A3"])
@pytest.mark.parametrize(
    "path", ["/v1/models/people/versions/{}", "/v2/models/people/versions/{}/ready"]
)
def test_what_is_no_version_is_not_found(server: PredictionServer, path: str, number: str) -> None:
    status, answer = server.get(path.format(number))
    assert status == 404
    assert answer["error"].startswith("expected the number of a version, got ")


@pytest.mark.parametrize(
    "path", ["/v1/models/people/versions/{}:predict", "/v2/models/people/versions/{}/infer"]
)
def test_nothing_is_asked_of_what_is_no_version(
    server: PredictionServer, path: str, row: Row
) -> None:
    status, answer = server.post(path.format("9" * 5000), {"instances": [row]})
    assert status == 404
    assert answer["error"].startswith("expected the number of a version, got '999")


def test_a_packed_body_is_refused_by_name(server: PredictionServer, row: Row) -> None:
    packed = gzip.compress(json.dumps(row).encode())
    status, answer = server.post("/predict/people", packed, **{"Content-Encoding": "gzip"})
    assert status == 415
    assert answer["error"] == "expected a body without Content-Encoding, got 'gzip'"


@pytest.mark.parametrize("label", ["stable", "production"])
def test_a_label_stands_for_a_version(server: PredictionServer, row: Row, label: str) -> None:
    path = f"/v1/models/people/labels/{label}:predict"
    assert server.post(path, {"instances": [row]})[0] == 200


def test_a_label_without_a_version_is_not_found(server: PredictionServer, row: Row) -> None:
    status, answer = server.post("/v1/models/people/labels/canary:predict", {"instances": [row]})
    assert (status, answer["error"]) == (404, "no version of people is the canary")


def tensors() -> list[dict[str, Any]]:
    return [
        {"name": "age", "datatype": "INT64", "shape": [2], "data": [70, 20]},
        {"name": "income", "datatype": "FP64", "shape": [2, 1], "data": [[2e4], [2e4]]},
    ]


def test_open_inferences_tensors(server: PredictionServer) -> None:
    content = {"id": "7", "inputs": tensors()}
    status, answer = server.post("/v2/models/people/infer", content)
    assert status == 200
    assert (answer["id"], answer["model_name"], answer["model_version"]) == ("7", "people", "1")
    outputs = {output["name"]: output for output in answer["outputs"]}
    assert outputs["prediction"]["data"] == ["stays", "leaves"]
    assert outputs["probabilities"]["shape"] == [2, 2]
    assert len(outputs["probabilities"]["data"]) == 4


def test_open_inferences_one_tensor_for_all_columns(server: PredictionServer) -> None:
    matrix = {"name": "input-0", "datatype": "FP32", "shape": [1, 2], "data": [70, 20000]}
    _, answer = server.post("/v2/models/people/infer", {"inputs": [matrix]})
    assert answer["outputs"][0]["data"] == ["stays"]


def test_open_inferences_wanted_outputs_alone(server: PredictionServer) -> None:
    content = {"inputs": tensors(), "outputs": [{"name": "prediction"}]}
    _, answer = server.post("/v2/models/people/infer", content)
    assert [output["name"] for output in answer["outputs"]] == ["prediction"]


def test_open_inferences_metadata(server: PredictionServer) -> None:
    _, answer = server.get("/v2/models/people")
    assert answer["platform"] == "penstock_sklearn"
    assert answer["inputs"][0] == {"name": "age", "datatype": "INT64", "shape": [-1]}


def test_tritons_client_asks_with_binary_tensors(server: PredictionServer) -> None:
    import numpy as np
    from tritonclient import http

    with http.InferenceServerClient(server.url.removeprefix("http://")) as client:
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready("people")
        age = http.InferInput("age", [2], "INT64")
        age.set_data_from_numpy(np.array([70, 20]))
        income = http.InferInput("income", [2], "FP64")
        income.set_data_from_numpy(np.array([2e4, 2e4]))
        result = client.infer("people", [age, income])
    assert result.as_numpy("prediction").tolist() == [b"stays", b"leaves"]
    assert result.as_numpy("probabilities").shape == (2, 2)


@pytest.mark.parametrize(
    ("path", "content", "said"),
    [
        ("/predict/people", b"{", "the body should be JSON, and is not"),
        ("/predict/people", 7, "expected an object with columns, or a list of them, got 7"),
        ("/predict/people", [], "expected rows with columns, got none"),
        ("/predict/people", {}, "expected rows with columns, got none"),
        ("/predict/people", [{"age": 1}, 3], "row 1: expected an object with columns, got 3"),
        ("/predict/people", {"age": 70}, "the model needs a column 'income', of type float64"),
        (
            "/predict/people",
            {"age": "old", "income": 1},
            "row 0: expected a whole number, got 'old' (str) (column age)",
        ),
        (
            "/predict/people",
            [{"age": 1, "income": 1}, {"age": 1.5, "income": 1}],
            "row 1: expected a whole number, got 1.5 (float) (column age)",
        ),
        ("/predict/people", {"age": None, "income": 1}, "row 0: expected a whole number, got noth"),
        ("/predict/people", {"age": {"x": 1}, "income": 1}, "row 0: expected a value, got an obj"),
        ("/predict/people", {"age": [1, 2], "income": [1]}, "'age' has 2, 'income' has 1"),
        ("/v1/models/people:predict", {"instances": []}, "instances: expected a list of rows"),
        ("/v1/models/people:predict", {"rows": []}, "expected an object with 'instances' or 'inp"),
        (
            "/v1/models/people:predict",
            {"instances": [[1]]},
            "row 0: expected an object, or a list of 2 values for the columns age, income, got [1]",
        ),
        (
            "/v1/models/people:predict",
            {"instances": [{"age": 1, "income": 1}], "signature_name": "other"},
            "was asked for 'other'",
        ),
        ("/v1/models/people:classify", {"examples": 3}, "examples: expected a list of objects"),
        ("/v2/models/people/infer", {"inputs": []}, "expected an object with a list 'inputs'"),
        (
            "/v2/models/people/infer",
            {"inputs": [{"name": "age", "datatype": "INT64", "shape": [2], "data": [1]}]},
            "the shape [2] has 2 values, and the data 1 (column age)",
        ),
        (
            "/v2/models/people/infer",
            {"inputs": [{"name": "age", "datatype": "COMPLEX", "shape": [1], "data": [1]}]},
            "expected a datatype of BOOL",
        ),
    ],
)
def test_a_bad_request_is_told_what_is_wrong(
    server: PredictionServer, path: str, content: Any, said: str
) -> None:
    status, answer = server.post(path, content)
    assert status == 400
    assert said in answer["error"]


def test_deep_nesting_is_a_bad_request(server: PredictionServer) -> None:
    deep = b'{"age": ' + b"[" * 900 + b"]" * 900 + b', "income": 1}'
    assert server.post("/predict/people", deep)[0] == 400
    assert server.post("/predict/people", b"[" * 100_000)[0] == 400


def test_an_unknown_model_is_not_found(server: PredictionServer, row: Row) -> None:
    status, answer = server.post("/predict/others", row)
    assert status == 404
    assert "there is nothing at POST /predict/others" in answer["error"] or "no model" in str(
        answer
    )


def test_metrics_are_prometheus(server: PredictionServer, row: Row) -> None:
    from prometheus_client.parser import text_string_to_metric_families

    server.post("/predict/people", row)
    _, text = server.get("/metrics")
    families = {family.name: family for family in text_string_to_metric_families(text)}
    good = [
        sample.value
        for sample in families["penstock_answers"].samples
        if sample.labels["status"] == "200" and sample.labels["model"] == "people"
    ]
    assert sum(good) >= 1
    assert "penstock_answer_seconds" in families


def test_who_comes_by_another_name_is_refused(server: PredictionServer, row: Row) -> None:
    status, answer = server.post("/predict/people", row, Host="evil.example")
    assert status == 403
    assert "this server is for its own machine" in answer["error"]


def test_the_administration_needs_its_token(server: PredictionServer) -> None:
    assert server.get("/penstock/v1/models/people")[0] == 401
    assert server.administer("GET", "people")[0] == 200


def test_how_a_release_reaches_it_is_for_its_owner_alone(server: PredictionServer) -> None:
    assert (server.state / "server.json").stat().st_mode & 0o777 == 0o600
    assert json.loads((server.state / "server.json").read_text())["url"].startswith("http://127")
