"""Code of the user's that is missing, broken or trains badly: one good run, then one with all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from penstock import pipeline
from penstock.components import CsvExampleGen, ImportSchemaGen, Trainer, Transform

DATA = b"id,fare\n" + b"".join(b"%d,%d.5\n" % (row, row) for row in range(60))
SCHEMA = "".join(
    f"feature {{ name: '{name}' type: {kind} presence {{ min_fraction: 1 }} "
    "shape { dim { size: 1 } } }\n"
    for name, kind in (("id", "INT"), ("fare", "FLOAT"))
)
READS_LABEL = """
from tfx_bsl.tfxio.dataset_options import TensorFlowDatasetOptions

from penstock.components.schema_gen.schema_file import read_schema


def run_fn(fn_args):
    options = TensorFlowDatasetOptions(batch_size=8, num_epochs=1, label_key="tip")
    schema = read_schema(fn_args.schema_path)
    for batch in fn_args.data_accessor.tf_dataset_factory(fn_args.train_files, options, schema):
        print(batch)
"""
LOSES_THE_LOSS = """
import keras
import numpy


def run_fn(fn_args):
    model = keras.Sequential([keras.layers.Input((1,)), keras.layers.Dense(1, name="score")])
    model.compile(keras.optimizers.SGD(1e30), "mse")
    logs = keras.callbacks.TensorBoard(fn_args.model_run_dir)
    inputs = numpy.ones((8, 1)) * 1e5
    model.fit(inputs, inputs * 3, epochs=4, batch_size=8, callbacks=[logs], verbose=0)
    model.export(fn_args.serving_model_dir, verbose=False)
"""
RAISES = """
def learning_rate(fn_args):
    print("choosing a rate")
    return 1 / fn_args.custom_config["decay"]


def run_fn(fn_args):
    learning_rate(fn_args)
"""
PREPROCESSES = """
def preprocessing_fn(inputs):
    return {"tip": inputs["tip"] * 2}
"""

# By node: its component, its module (None: there is none), and what its error must say.
BAD: dict[str, tuple[str, str | None, list[str]]] = {
    "raises": (
        "trainer",
        RAISES,
        ["run_fn failed: ZeroDivisionError: division by zero", "raises.py:4)"],
    ),
    "lacks_run_fn": (
        "trainer",
        "def run_fm(fn_args): pass\n",
        ["should define a function 'run_fn'", "lacks_run_fn.py)", "Did you mean 'run_fm'?"],
    ),
    "no_module": (
        "trainer",
        None,
        ["the module file", "no_module.py does not exist", "Did you mean 'no_modules.py'?"],
    ),
    "does_not_import": (
        "trainer",
        "import no_such_package\n\n\ndef run_fn(fn_args): pass\n",
        ["does not import: ModuleNotFoundError: No module named 'no_such_package'", ".py:1)"],
    ),
    "is_not_python": (
        "trainer",
        "def run_fn(fn_args)\n    pass\n",
        ["SyntaxError: expected ':'", "is_not_python.py:1)", "The line: def run_fn(fn_args)"],
    ),
    "exits": ("trainer", "def run_fn(fn_args):\n    raise SystemExit(3)\n", ["SystemExit: 3"]),
    "saves_no_model": (
        "trainer",
        "def run_fn(fn_args): pass\n",
        ["run_fn saved no model", "saved_model.pb was expected", "model.export("],
    ),
    "absent_label": ("trainer", READS_LABEL, ["run_fn failed", "tip", "absent_label.py:10"]),
    "loses_the_loss": (
        "trainer",
        LOSES_THE_LOSS,
        ["weights that are not numbers", "epoch_loss was first", "in epoch ", "learning rate"],
    ),
    "absent_column": (
        "transform",
        PREPROCESSES,
        ["preprocessing_fn failed: KeyError: 'tip'", "absent_column.py:3)"],
    ),
    "lacks_preprocessing_fn": (
        "transform",
        "def preprocess(inputs): return inputs\n",
        ["should define a function 'preprocessing_fn'", "Did you mean 'preprocess'?"],
    ),
}


def training(folder: Path, bad: bool) -> Any:
    @pipeline
    def training():
        examples = CsvExampleGen(input_base=str(folder / "data"))
        schema = ImportSchemaGen(schema_file=str(folder / "schema.pbtxt"))
        inputs = {"examples": examples.outputs["examples"], "schema": schema.outputs["schema"]}
        nodes = [examples, schema]
        for name, (kind, _, _) in BAD.items() if bad else ():
            module = str(folder / "modules" / f"{name}.py")
            if kind == "trainer":
                node = Trainer(**inputs, module_file=module, custom_config={"decay": 0})
            else:
                node = Transform(**inputs, module_file=module)
            nodes.append(node.with_id(name))
        return nodes

    return training


@pytest.fixture(scope="module")
def bad_run(project, make_bad_run):
    folder = project.folder
    for name in ("data", "modules"):
        (folder / name).mkdir()
    (folder / "data" / "data.csv").write_bytes(DATA)
    (folder / "schema.pbtxt").write_text(SCHEMA)
    (folder / "modules" / "no_modules.py").touch()
    for name, (_, module, _) in BAD.items():
        if module is not None:
            (folder / "modules" / f"{name}.py").write_text(module)
    assert project.run(training(folder, bad=False)).succeeded
    return make_bad_run(training(folder, bad=True))


@pytest.mark.parametrize("name", BAD)
def test_broken_code_is_answered_with_its_place_and_what_to_do(bad_run, name):
    for part in BAD[name][2]:
        assert part in bad_run.error(name)


@pytest.mark.parametrize("name", BAD)
def test_what_is_said_of_broken_code_has_no_lines_of_ours(bad_run, name):
    import penstock.components

    for module in (penstock, penstock.components):
        assert str(Path(module.__file__).parent) + "/" not in bad_run.error(name)
    assert "Traceback" not in bad_run.error(name)


def test_the_user_s_own_lines_come_first_and_alone(bad_run):
    headline, *lines = bad_run.error("raises").splitlines()
    module = bad_run.project.folder / "modules" / "raises.py"
    assert headline.endswith("It came by these lines:")
    assert lines == [
        f"  {module}:8, in run_fn",
        "    learning_rate(fn_args)",
        f"  {module}:4, in learning_rate",
        '    return 1 / fn_args.custom_config["decay"]',
    ]


def test_the_log_has_the_whole_traceback_after_what_the_node_printed(bad_run):
    log = bad_run.log("raises")
    printed, _, traceback = log.partition("The whole traceback:")
    assert "choosing a rate" in printed
    assert "Traceback" not in printed
    assert "components/trainer/executor.py" in traceback
    assert "ZeroDivisionError: division by zero" in traceback


def test_the_end_of_the_log_that_is_shown_leaves_the_traceback_out(bad_run):
    from penstock.execution.logs import log_tail

    tail = log_tail(bad_run.result.nodes["raises"].log_path)
    assert "choosing a rate" in tail
    assert "Traceback" not in tail


def test_broken_code_leaves_all_that_was_published_as_it_was(bad_run):
    bad_run.check_that_nothing_else_happened()
