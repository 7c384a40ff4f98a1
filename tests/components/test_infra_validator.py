"""InfraValidator: a model is served in a process of its own, and asked, within limits."""

from __future__ import annotations

import json
import os
import resource
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from penstock.authoring import artifacts
from penstock.components.infra_validator import executor, own_server, tensorflow_serving
from penstock.components.infra_validator.limits import (
    Kubernetes,
    LocalDocker,
    RequestSpec,
    ServingSpec,
    TensorFlowServing,
    TensorFlowServingRequests,
    ValidationSpec,
)
from penstock.components.pusher.executor import model_to_push
from penstock.data.coding.examples import encode
from penstock.data.records import write_serialized
from penstock.errors import ParameterError
from penstock.models.layout import STAMPED_MODEL
from penstock.models.saving import save_model
from penstock.models.warmup import warmup_rows

ROWS = pa.table({"age": pa.array([1, 2, 3], pa.int64())})
ASKED = RequestSpec(num_examples=2)


@pytest.fixture
def directory(tmp_path: Path) -> str:
    return str(tmp_path / "model" / "Format-Serving")


@pytest.fixture
def fitted(directory: str) -> Any:
    """A model of scikit-learn, which is saved where the model is to be."""
    linear_model = pytest.importorskip("sklearn.linear_model", reason="needs scikit-learn")
    pytest.importorskip("skops", reason="skops is not installed")
    model = linear_model.LinearRegression().fit(ROWS.to_pandas(), [1.0, 2.0, 3.0])
    save_model(model, directory, example=ROWS)
    return model


@pytest.fixture
def validate(tmp_path: Path) -> Callable[..., Any]:
    def run(
        examples: list[Any] | None = None,
        *,
        request: RequestSpec | None = None,
        serving: ServingSpec = ServingSpec(),
        **limits: Any,
    ) -> Any:
        model = artifacts.Model()
        model.uri = str(tmp_path / "model")
        blessing = artifacts.InfraBlessing()
        blessing.uri = str(tmp_path / "blessing")
        os.makedirs(blessing.uri)
        executor.validate(
            model=model,
            blessing=blessing,
            examples=examples,
            serving=serving,
            spec=ValidationSpec(**{"num_tries": 1, **limits}),
            request=request,
        )
        return blessing

    return run


@pytest.fixture
def examples(tmp_path: Path) -> Callable[[pa.Table], list[Any]]:
    def write(table: pa.Table, split: str = "eval") -> list[Any]:
        made = artifacts.Examples()
        made.uri = str(tmp_path / "examples")
        made.split_names = json.dumps([split])
        folder = str(tmp_path / "examples" / f"Split-{split}")
        write_serialized(folder, "data_tfrecord", encode(table.to_batches()[0]))
        return [made]

    return write


def failure_of(blessing: Any) -> str:
    assert os.listdir(blessing.uri) == ["INFRA_NOT_BLESSED"]
    assert blessing.get_int_custom_property("blessed") == 0
    (failure,) = json.loads(blessing.get_string_custom_property("failures"))
    return str(failure)


def test_a_model_that_loads_is_blessed_as_tfx_blesses(fitted, validate):
    blessing = validate()
    assert os.listdir(blessing.uri) == ["INFRA_BLESSED"]
    assert blessing.get_int_custom_property("blessed") == 1
    assert blessing.get_float_custom_property("loading_seconds") > 0
    assert blessing.get_float_custom_property("memory_mb") > 1
    assert blessing.get_string_custom_property("server") == "penstock"


def test_it_is_asked_about_examples(fitted, validate, examples):
    blessing = validate(examples(ROWS), request=ASKED)
    assert blessing.get_int_custom_property("blessed") == 1
    assert blessing.get_float_custom_property("prediction_seconds") > 0


def test_without_eval_the_first_split_is_asked_about(fitted, validate, examples):
    blessing = validate(examples(ROWS, "only"), request=ASKED)
    assert blessing.get_int_custom_property("blessed") == 1


def test_without_a_request_spec_it_only_has_to_load(fitted, validate, examples):
    blessing = validate(examples(pa.table({"height": [1.5]})))
    assert blessing.get_int_custom_property("blessed") == 1


def test_a_model_that_cannot_take_the_examples_is_not_blessed(fitted, validate, examples):
    failure = failure_of(validate(examples(pa.table({"height": [1.5]})), request=ASKED))
    assert failure.startswith("The model does not answer row 0: the model needs a column 'age'")


def test_memory_is_limited(fitted, validate):
    failure = failure_of(validate(max_memory_mb=1.0))
    assert failure.startswith("The process took")
    assert failure.endswith("MB of memory, and may take 1 MB.")


def test_the_memory_of_the_pod_that_would_serve_is_the_limit(fitted, validate):
    pod = Kubernetes(serving_pod_overrides={"resources": {"limits": {"memory": "1Mi"}}})
    assert failure_of(validate(serving=ServingSpec(kubernetes=pod))).endswith("may take 1 MB.")


def test_a_quantity_that_kubernetes_does_not_know_is_told():
    pod = Kubernetes(serving_pod_overrides={"resources": {"limits": {"memory": "2 Gibi"}}})
    with pytest.raises(ParameterError, match="expected a quantity of memory, as '2Gi'"):
        _ = ServingSpec(kubernetes=pod).memory_bytes


def test_a_process_is_bounded_where_nobody_watches_it():
    with subprocess.Popen(["sleep", "60"]) as process:
        own_server.bound_process(process.pid, 1e9, 10)
        adjusted = Path(f"/proc/{process.pid}/oom_score_adj").read_text()
        memory = resource.prlimit(process.pid, resource.RLIMIT_DATA)
        seconds = resource.prlimit(process.pid, resource.RLIMIT_CPU)
        process.kill()
    assert adjusted == "1000\n"
    assert memory[1] == 1_000_000_000 + (4 << 30)
    assert seconds[1] == 10 * os.cpu_count() + 1


def test_the_time_to_load_is_limited(fitted, validate):
    failure = failure_of(validate(max_loading_time_seconds=0.01))
    assert failure == "The model does not load: it did not load within 0.01 s."


def test_a_model_that_is_broken_is_not_blessed(fitted, validate, directory):
    Path(directory, "model.skops").write_bytes(b"nothing")
    assert failure_of(validate()).startswith("The model does not load: ")


def test_what_a_busy_machine_may_have_done_is_tried_again(fitted, validate, capsys):
    validate(max_loading_time_seconds=0.01, num_tries=3)
    assert capsys.readouterr().out.count("did not load within") == 3


def test_what_would_be_the_same_again_is_not_tried_again(fitted, validate, examples, capsys):
    validate(examples(pa.table({"height": [1.5]})), request=ASKED, num_tries=3)
    assert capsys.readouterr().out.count("does not answer row 0") == 1


def test_a_model_that_answers_no_number_is_not_blessed(fitted, validate, examples, directory):
    import skops.io

    fitted.coef_[:] = np.nan
    skops.io.dump(fitted, Path(directory, "model.skops"))
    failure = failure_of(validate(examples(ROWS), request=ASKED))
    assert failure.startswith("The model's answer to row 0 has no number in 'prediction'")


def test_a_model_that_ends_its_server_is_not_blessed(validate, examples, directory):
    skops = pytest.importorskip("skops.io", reason="skops is not installed")
    from sklearn.tree import DecisionTreeRegressor

    rows = pa.table({"age": pa.array(range(100), pa.int64())})
    model = DecisionTreeRegressor().fit(rows.to_pandas(), np.arange(100.0))
    # The example ends in the leaf on the left; on the right the tree leads out of its memory.
    save_model(model, directory, example=rows.slice(0, 1))
    state = model.tree_.__getstate__()
    state["nodes"]["right_child"][0] = 2**40
    model.tree_.__setstate__(state)
    skops.dump(model, Path(directory, "model.skops"))
    failure = failure_of(validate(examples(rows.slice(99)), request=ASKED))
    assert failure == (
        "The model ends its server when it is asked about row 0, by signal 11 (SIGSEGV)."
    )


def save_module(directory: str, function: Callable[[Any, Any], Any]) -> None:
    """Save a SavedModel that computes a function of TensorFlow and of a column `age`."""
    tf = pytest.importorskip("tensorflow", reason="TensorFlow is not installed")

    class Module(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.int64, name="age")])
        def serve(self, age):
            return {"outputs": function(tf, tf.cast(age, tf.float32))}

    module = Module()
    tf.saved_model.save(module, directory, signatures={"serving_default": module.serve})


def test_a_model_that_eats_memory_is_not_blessed(validate, examples, directory):
    def eats(tf: Any, age: Any) -> Any:
        much = tf.fill([tf.cast(age[0], tf.int32) * 1_000_000_000], age[0])
        return age + much[-1]

    save_module(directory, eats)
    limits = {"max_memory_mb": 2_000, "max_prediction_seconds": 60}
    failure = failure_of(validate(examples(ROWS), request=ASKED, **limits))
    assert failure.startswith("The process took")
    assert failure.endswith("MB of memory, and may take 2,000 MB.")


def test_a_model_that_needs_three_seconds_a_row_is_not_blessed(validate, examples, directory):
    def waits(tf: Any, age: Any) -> Any:
        until = tf.timestamp() + 3
        turns = tf.while_loop(lambda _: tf.timestamp() < until, lambda n: [n + 1], [0])
        return age + tf.cast(turns[0], tf.float32) * 0

    save_module(directory, waits)
    failure = failure_of(validate(examples(ROWS), request=ASKED))
    assert failure == "The model needs more than 2 s for row 0."


def test_warm_up_requests_are_in_the_model_that_is_pushed(fitted, validate, examples, tmp_path):
    asked = RequestSpec(num_examples=2, make_warmup=True)
    blessing = validate(examples(ROWS), request=asked)
    assert blessing.get_int_custom_property("has_model") == 1
    model = artifacts.Model()
    model.uri = str(tmp_path / "model")
    for given in (model, None):
        pushed = model_to_push(given, blessing)
        assert pushed == os.path.join(blessing.uri, STAMPED_MODEL)
        assert warmup_rows(pushed).to_pydict() == {"age": [1, 2]}


def test_another_model_than_the_one_that_was_validated_is_pushed_without_its_requests(
    fitted, validate, examples, directory, tmp_path
):
    blessing = validate(examples(ROWS), request=RequestSpec(make_warmup=True))
    Path(directory, "notes.txt").write_text("another")
    model = artifacts.Model()
    model.uri = str(tmp_path / "model")
    assert model_to_push(model, blessing) == directory


def test_a_model_that_is_not_blessed_gets_no_warm_up_requests(fitted, validate, examples):
    asked = RequestSpec(make_warmup=True)
    blessing = validate(examples(pa.table({"height": [1.5]})), request=asked)
    assert blessing.get_int_custom_property("has_model") == 0


def test_tensorflow_serving_serves_saved_models_alone(fitted, validate):
    serving = ServingSpec(tensorflow_serving=TensorFlowServing(), local_docker=LocalDocker())
    assert failure_of(validate(serving=serving)).startswith(
        "TensorFlow Serving serves SavedModels, and "
    )


def test_another_signature_than_the_one_that_is_served_is_refused(validate, examples, directory):
    save_module(directory, lambda tf, age: tf.identity(age))
    wanted = RequestSpec(tensorflow_serving=TensorFlowServingRequests(signature_names=("raw",)))
    with pytest.raises(ParameterError, match="served by its signature 'serving_default', not by"):
        validate(examples(ROWS), request=wanted)


def test_without_docker_the_prediction_server_serves_a_saved_model(
    validate, examples, directory, monkeypatch, capsys
):
    save_module(directory, lambda tf, age: tf.identity(age))
    monkeypatch.setattr(tensorflow_serving.shutil, "which", lambda _: None)
    serving = ServingSpec(tensorflow_serving=TensorFlowServing(tags=("latest",)))
    blessing = validate(examples(ROWS), request=ASKED, serving=serving)
    assert blessing.get_string_custom_property("server") == "penstock"
    assert "Docker is not here to run TensorFlow Serving" in capsys.readouterr().out


def test_the_command_of_a_container_has_the_model_its_name_and_the_limit():
    command = tensorflow_serving.run_command(
        ["docker", "--host", "tcp://there:1"], "tensorflow/serving:2.16.1", "m", "/models/x", 2e9
    )
    assert command == [
        *("docker", "--host", "tcp://there:1", "run", "--detach"),
        *("--publish", "127.0.0.1::8501", "--memory", "2000000000"),
        *("--mount", "type=bind,source=/models/x,target=/models/m/1,readonly"),
        *("--env", "MODEL_NAME=m", "tensorflow/serving:2.16.1"),
    ]


def test_images_are_named_by_tags_and_digests():
    serving = TensorFlowServing("mine/serving", tags=("1", "2"), digests=("sha256:ab",))
    assert serving.images == ("mine/serving:1", "mine/serving:2", "mine/serving@sha256:ab")
    assert TensorFlowServing().images == ("tensorflow/serving:latest",)


DOCKER = """#!{python}
import json, sys, threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
folder = Path(__file__).parent
with open(folder / "calls", "a") as calls:
    calls.write(json.dumps(sys.argv[1:]) + "\\n")
command = sys.argv[1]
if command == "run":
    print("container")
elif command == "port":
    print((folder / "address").read_text())
elif command == "inspect":
    print((folder / "state").read_text())
"""


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in of Docker's client, which says that TensorFlow Serving runs at an address."""
    folder = tmp_path / "bin"
    folder.mkdir()
    script = folder / "docker"
    script.write_text(DOCKER.format(python=sys.executable))
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    (folder / "state").write_text('{"Running": true, "OOMKilled": false, "ExitCode": 0}')
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    return folder


def called(docker: Path) -> list[str]:
    return [json.loads(line)[0] for line in (docker / "calls").read_text().splitlines()]


@pytest.mark.needs("tensorflow", "uvloop", "sklearn")
def test_a_model_in_a_container_is_asked_by_its_rest_interface(
    validate, examples, directory, docker, tmp_path
):
    from penstock_support.prediction_server import start_server

    save_module(directory, lambda _, age: age * 2)
    server = start_server(tmp_path, f"infra-validation-model={directory}")
    try:
        server.wait_until_ready()
        (docker / "address").write_text(server.url.removeprefix("http://"))
        serving = ServingSpec(tensorflow_serving=TensorFlowServing(tags=("2.16.1",)))
        blessing = validate(examples(ROWS), request=ASKED, serving=serving)
    finally:
        server.end()
    assert blessing.get_int_custom_property("blessed") == 1
    assert blessing.get_string_custom_property("server") == "tensorflow/serving:2.16.1"
    assert called(docker)[0] == "version"
    assert called(docker)[-1] == "rm"


@pytest.mark.needs("tensorflow")
def test_a_container_that_ends_is_told_and_removed(validate, directory, docker):
    save_module(directory, lambda tf, age: tf.identity(age))
    (docker / "address").write_text("127.0.0.1:9")
    (docker / "state").write_text('{"Running": false, "OOMKilled": true, "ExitCode": 137}')
    serving = ServingSpec(tensorflow_serving=TensorFlowServing(tags=("2.16.1",)))
    assert failure_of(validate(serving=serving)) == (
        "tensorflow/serving:2.16.1 does not load the model: it took more memory than it may."
    )
    assert called(docker)[-1] == "rm"
