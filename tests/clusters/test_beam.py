"""Beam with a job service and workers of its own, which see nothing of the user's folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from penstock import LocalRunner, pipeline
from penstock.authoring.beam import BeamOptions
from penstock.components import CsvExampleGen, Evaluator, SchemaGen, StatisticsGen, Transform
from penstock.data.beam.watching import Watched
from penstock.errors import DataError, PenstockError, RunError, UserCodeError
from penstock.project import user_code
from penstock.runners.local.display import Silent
from penstock_support.beam_servers import await_state, prism, with_a_pool, with_processes

pytestmark = pytest.mark.timeout(300)

SIBLING = """
def inner(x):
    if x == 2:
        raise ValueError("no good")
    return x + 1
"""
MODULE = """
import sibling


def outer(x):
    return sibling.inner(x)


def late(x):
    import latecomer

    return latecomer.innermost(x)
"""
LATECOMER = """
import sibling


def innermost(x):
    return sibling.inner(x)
"""


FUNCTIONS = """
import apache_beam
import tensorflow_model_analysis as tfma

import sibling


def preprocessing_fn(inputs):
    import tensorflow_transform as tft

    return {"label": inputs["label"], "scaled": tft.scale_to_z_score(inputs["prediction"])}


def passing(extracts):
    sibling.inner(1)
    return extracts


def custom_extractors(eval_shared_model, eval_config, tensor_adapter_config):
    usual = tfma.default_extractors(
        eval_shared_model=eval_shared_model,
        eval_config=eval_config,
        tensor_adapter_config=tensor_adapter_config,
    )
    own = tfma.extractors.Extractor(stage_name="Pass", ptransform=apache_beam.Map(passing))
    return [*usual, own]
"""


@pytest.fixture(scope="module")
def user_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("user")
    (folder / "functions.py").write_text(FUNCTIONS)
    (folder / "sibling.py").write_text(SIBLING)
    (folder / "latecomer.py").write_text(LATECOMER)
    (folder / "outermost.py").write_text(MODULE)
    return folder


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(with_a_pool, id="pool"),
        pytest.param(
            with_processes,
            id="processes",
            marks=pytest.mark.skipif(
                prism() is None, reason="there is no Prism: `make more-services-beam` builds it"
            ),
        ),
    ],
)
def started(request):
    return request.param


@pytest.fixture(scope="module")
def servers(started, tmp_path_factory, user_folder):
    with started(tmp_path_factory.mktemp("servers"), user_folder) as running:
        yield running


def mapped(args, function, values):
    import apache_beam

    with BeamOptions(args).pipeline() as pipeline:
        _ = pipeline | apache_beam.Create(values) | apache_beam.Map(function)


def test_a_module_file_reaches_workers_with_its_sibling(servers, user_folder):
    function = user_code.load_function("outer", module_file=str(user_folder / "outermost.py"))
    mapped(servers.args, function, [0, 1])


def test_a_sibling_that_is_imported_when_it_is_needed_reaches_workers(servers, user_folder):
    function = user_code.load_function("late", module_file=str(user_folder / "outermost.py"))
    mapped(servers.args, function, [1])


def test_an_exception_of_the_users_is_told_with_its_line(servers, user_folder):
    function = user_code.load_function("outer", module_file=str(user_folder / "outermost.py"))
    with pytest.raises(UserCodeError, match=r"^ValueError: no good .*sibling\.py:4") as raised:
        mapped(servers.args, function, [2])
    assert "return sibling.inner(x)" in str(raised.value)


def refuse(_):
    raise DataError("bad cells", path="/data/x.csv", line=3, column="a", hint="Mend it.")


def test_an_error_of_ours_is_told_as_it_was_raised(servers):
    with pytest.raises(DataError) as raised:
        mapped(servers.args, refuse, [1])
    assert str(raised.value) == "bad cells (/data/x.csv:3, column a). Mend it."


def test_a_job_service_that_is_killed_is_told(started, tmp_path, user_folder):
    import apache_beam

    with started(tmp_path, user_folder) as own:

        def end(_, process=own.job_service.pid):
            os.kill(process, signal.SIGKILL)

        with (
            pytest.raises(PenstockError, match=r"job service at .* no longer answers"),
            BeamOptions(own.args).pipeline() as pipeline,
        ):
            _ = pipeline | apache_beam.Create([1]) | apache_beam.Map(end)


def test_a_jobs_rows_are_counted_and_its_name_is_told(servers, tmp_path):
    import apache_beam

    told = {}
    with BeamOptions(servers.args).pipeline(lambda **counts: told.update(counts)) as pipeline:
        _ = (
            pipeline
            | apache_beam.Create([2, 3])
            | Watched(str(tmp_path), rows=lambda element: element)
        )
    assert told["rows"] == 5
    assert told["note"].startswith("job-")


def data_in(folder):
    folder.mkdir(exist_ok=True)
    rows = [f"{number % 2}.0,{number / 100}" for number in range(100)]
    (folder / "data.csv").write_text("\n".join(["label,prediction", *rows, ""]))
    return str(folder)


def run(defined, servers, root):
    runner = LocalRunner(
        pipeline_root=str(root),
        metadata=str(root.parent / f"{root.name}.sqlite"),
        beam_args=servers.args,
        display=Silent(),
    )
    return runner.run(defined)


def test_module_files_of_components_reach_workers(servers, user_folder, tmp_path):
    functions, data = str(user_folder / "functions.py"), data_in(tmp_path / "data")

    @pipeline
    def with_functions():
        examples = CsvExampleGen(input_base=data).outputs["examples"]
        schema = SchemaGen(statistics=StatisticsGen(examples=examples).outputs["statistics"])
        evaluation = Evaluator(
            examples=examples,
            module_file=functions,
            eval_config={
                "model_specs": [{"label_key": "label", "prediction_key": "prediction"}],
                "metrics_specs": [{"metrics": [{"class_name": "ExampleCount"}]}],
            },
        )
        transformed = Transform(
            examples=examples, schema=schema.outputs["schema"], module_file=functions
        )
        return evaluation, transformed

    result = run(with_functions, servers, tmp_path / "root")
    assert result.output("Transform", "transformed_examples").uri


def test_workers_fetch_remote_files(servers, tmp_path):
    """`local` is a scheme of fsspec's other than `file`, so that its files count as remote."""
    data = data_in(tmp_path / "data")

    @pipeline
    def of_remote_files():
        return CsvExampleGen(input_base=f"local://{data}")

    result = run(of_remote_files, servers, tmp_path / "root")
    [log] = (tmp_path / "root").rglob("CsvExampleGen.log")
    assert "Workers have fetched 1 files." in log.read_text()
    assert result.output("CsvExampleGen", "examples").split_names == '["train", "eval"]'


def test_a_remote_file_that_workers_cannot_read_is_fetched_by_the_node(
    servers, user_folder, tmp_path
):
    data = data_in(user_folder / "remote")

    @pipeline
    def of_remote_files():
        return CsvExampleGen(input_base=f"local://{data}")

    run(of_remote_files, servers, tmp_path / "root")
    [log] = (tmp_path / "root").rglob("CsvExampleGen.log")
    assert "The node's process fetches the files itself: " in log.read_text()


def test_data_that_workers_do_not_see_are_told(servers, user_folder, tmp_path):
    data = data_in(user_folder / "data")

    @pipeline
    def of_csv():
        return CsvExampleGen(input_base=data)

    with pytest.raises(RunError, match=r"the file is here, and not where .*data\.csv"):
        run(of_csv, servers, tmp_path / "root")


def test_examples_that_workers_wrote_elsewhere_are_not_published(servers, user_folder, tmp_path):
    data = data_in(tmp_path / "data")

    @pipeline
    def of_csv():
        return CsvExampleGen(input_base=data)

    with pytest.raises(RunError, match="split 'train' should have been written, and lacks all"):
        run(of_csv, servers, user_folder / "root")


WAITING = """
import sys

import apache_beam

from penstock.authoring.beam import BeamOptions
from penstock.data.beam.watching import Watched

folder, args = sys.argv[1], sys.argv[2:]


def slow(folder):
    import pathlib
    import time

    pathlib.Path(folder, "begun").touch()
    while True:
        time.sleep(0.05)
        yield 1


def say(note="", **_):
    print(note, flush=True)


if __name__ == "__main__":
    with BeamOptions(tuple(args)).pipeline(say) as pipeline:
        _ = (
            pipeline
            | apache_beam.Create([folder])
            | apache_beam.FlatMap(slow)
            | Watched(folder, rows=lambda _: 1)
        )
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_job_of_a_process_that_is_ended_is_canceled(servers, tmp_path, number):
    script, folder = tmp_path / "waiting.py", tmp_path / "staging"
    script.write_text(WAITING)
    folder.mkdir()
    command = [sys.executable, str(script), str(folder), *servers.args]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        name = next(line for line in process.stdout if line.startswith("job-")).strip()
        await_state(servers, name, "RUNNING")
        process.send_signal(number)
        assert process.wait() == -number
    await_state(servers, name, "CANCELLED")
