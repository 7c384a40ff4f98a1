"""Which features code reads, beside those that the schema has."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock import ir, pipeline
from penstock.components import (
    CsvExampleGen,
    Evaluator,
    ImportSchemaGen,
    Trainer,
    Transform,
)
from penstock.operations.delivery.checks import Check, State
from penstock.operations.delivery.features import check_schema

SCHEMA = 'feature {\n  name: "Age"\n  type: INT\n}\nfeature {\n  name: "Left"\n  type: BYTES\n}\n'

FEATURES = """
from penstock.models import features


@features
def of_table(columns):
    return {"age_xf": columns["COLUMN"].standardized()}


def train_fn(training):
    return None
"""

PREPROCESSING = """
import tensorflow_transform as tft

NAMES = ("COLUMN",)


def preprocessing_fn(inputs):
    return {f"{name}_xf": tft.scale_to_z_score(inputs[name]) for name in NAMES}
"""


def trained(folder: Path, column: str, label: str = "Left", slices: tuple[str, ...] = ()):
    (folder / "schema.pbtxt").write_text(SCHEMA)
    module = folder / "trained_model.py"
    module.write_text(FEATURES.replace("COLUMN", column))

    @pipeline(name="p")
    def defined():
        examples = CsvExampleGen(input_base=str(folder)).outputs["examples"]
        schema = ImportSchemaGen(schema_file=str(folder / "schema.pbtxt")).outputs["schema"]
        trainer = Trainer(
            examples=examples, schema=schema, module_file=str(module), train_fn="train_fn"
        )
        config = {
            "model_specs": [{"label_key": label}],
            "slicing_specs": [{}, *({"feature_keys": [name]} for name in slices)],
        }
        evaluator = Evaluator(
            examples=examples, model=trainer.outputs["model"], schema=schema, eval_config=config
        )
        return [evaluator]

    return defined


def checked(defined, folder: Path) -> list[Check]:
    compiled = ir.compile_pipeline(defined, pipeline_root="/root")
    bound = ir.view(ir.bind(compiled, run_id="run", parameters={}))
    return check_schema(bound, "p", str(folder))


@pytest.mark.core
def test_features_of_a_table_that_are_in_the_schema_pass(tmp_path):
    [check] = checked(trained(tmp_path, "Age"), tmp_path)
    assert check.state is State.PASSED
    assert check.message == "2 of its 2 features are read, and all that is read is there"


@pytest.mark.core
def test_a_column_that_is_not_in_the_schema_is_told_with_the_nearest(tmp_path):
    [check] = checked(trained(tmp_path, "Agee"), tmp_path)
    assert check.state is State.FAILED
    assert check.message.endswith("of_table reads the feature 'Agee', which is not in it")
    assert check.where == str(tmp_path / "schema.pbtxt")
    assert check.hint == "Did you mean 'Age'?"


@pytest.mark.core
def test_labels_and_slices_of_the_evaluation_are_looked_at(tmp_path):
    checks = checked(trained(tmp_path, "Age", label="Gone", slices=("Where",)), tmp_path)
    assert [check.message for check in checks] == [
        "Evaluator's eval_config reads the feature 'Gone', which is not in it",
        "Evaluator's eval_config reads the feature 'Where', which is not in it",
    ]


@pytest.mark.core
def test_a_deprecated_feature_is_none_to_read(tmp_path):
    defined = trained(tmp_path, "Age")
    text = SCHEMA.replace("type: INT", "type: INT\n  lifecycle_stage: DEPRECATED")
    (tmp_path / "schema.pbtxt").write_text(text)
    [check] = checked(defined, tmp_path)
    assert check.message.endswith("reads the feature 'Age', which is deprecated in it")


@pytest.mark.core
def test_a_schema_that_cannot_be_read_is_a_failure(tmp_path):
    defined = trained(tmp_path, "Age")
    (tmp_path / "schema.pbtxt").write_text("feature {")
    [check] = checked(defined, tmp_path)
    assert check.state is State.FAILED
    assert "the schema that ImportSchemaGen imports cannot be read" in check.message


@pytest.mark.core
def test_training_code_that_describes_no_features_is_not_looked_at_and_that_is_told(tmp_path):
    defined = trained(tmp_path, "Age")
    (tmp_path / "trained_model.py").write_text("def train_fn(training): ...\n")
    [check] = checked(defined, tmp_path)
    assert check.message.endswith(
        "not looked at: Trainer's train_fn: it reads what it likes when it runs"
    )


@pytest.mark.core
def test_a_pipeline_without_a_schema_is_skipped(tmp_path):
    @pipeline(name="p")
    def defined():
        return [CsvExampleGen(input_base="data")]

    [check] = checked(defined, tmp_path)
    assert check.state is State.SKIPPED


def transformed(folder: Path, text: str):
    (folder / "schema.pbtxt").write_text(SCHEMA)
    (folder / "preprocessing.py").write_text(text)

    @pipeline(name="p")
    def defined():
        examples = CsvExampleGen(input_base=str(folder)).outputs["examples"]
        schema = ImportSchemaGen(schema_file=str(folder / "schema.pbtxt")).outputs["schema"]
        module = str(folder / "preprocessing.py")
        return [Transform(examples=examples, schema=schema, module_file=module)]

    return defined


@pytest.mark.needs("tensorflow_transform")
def test_what_preprocessing_reads_in_a_loop_is_traced(tmp_path):
    [check] = checked(transformed(tmp_path, PREPROCESSING.replace("COLUMN", "Age")), tmp_path)
    assert check.message == "1 of its 2 features are read, and all that is read is there"


@pytest.mark.needs("tensorflow_transform")
def test_what_preprocessing_reads_and_the_schema_has_not_is_a_failure(tmp_path):
    [check] = checked(transformed(tmp_path, PREPROCESSING.replace("COLUMN", "Agee")), tmp_path)
    assert check.state is State.FAILED
    assert check.message == (
        "Transform's preprocessing_fn reads the feature 'Agee', which is not in it"
    )


@pytest.mark.needs("tensorflow_transform")
def test_preprocessing_that_raises_while_it_is_traced_is_told(tmp_path):
    text = "def preprocessing_fn(inputs):\n    raise ValueError('no')\n"
    [check] = checked(transformed(tmp_path, text), tmp_path)
    assert check.state is State.SKIPPED
    assert "Transform's preprocessing_fn: it raises ValueError: no" in check.message
