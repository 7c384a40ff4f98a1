"""Components that ask models, on a real Spark and a real Ray: they make what one process makes."""

from __future__ import annotations

import pytest

from penstock import pipeline
from penstock.components import BulkInferrer, CsvExampleGen, Evaluator
from penstock.components.bulk_inferrer.specs import (
    ClassifyOutput,
    OutputColumnsSpec,
    OutputExampleSpec,
)
from penstock.data.results import evaluation as results
from penstock.errors import RunError
from penstock_support.asked_on_clusters import Saved, Trained, digests_of, run

pytestmark = pytest.mark.timeout(600)

COLUMNS = OutputColumnsSpec(classify_output=ClassifyOutput("labels", "scores"))


EVAL_CONFIG = {
    "model_specs": [{"label_key": "word"}],
    "metrics_specs": [{"metrics": [{"class_name": "AUC"}, {"class_name": "ExampleCount"}]}],
    "options": {"compute_confidence_intervals": True},
}


@pytest.fixture
def amounts(tmp_path):
    folder = tmp_path / "amounts"
    folder.mkdir()
    rows = [f"{row / 1000 - 2},{'large' if row > 2500 else 'small'}" for row in range(4000)]
    (folder / "data.csv").write_text("\n".join(["amount,word", *rows]) + "\n")
    return folder


def test_predictions_and_metrics_are_those_of_one_process(cluster, amounts, tmp_path):
    @pipeline
    def predicted():
        examples = CsvExampleGen(input_base=str(amounts)).outputs["examples"]
        model = Trained().outputs["model"]
        spec = OutputExampleSpec((COLUMNS,))
        return [
            BulkInferrer(examples=examples, model=model).with_id("Logs"),
            BulkInferrer(examples=examples, model=model, output_example_spec=spec),
            Evaluator(examples=examples, model=model, eval_config=EVAL_CONFIG),
        ]

    ours = run(predicted, tmp_path / "process")
    theirs = run(predicted, tmp_path / "cluster", cluster.options.args)
    for node, key in (("BulkInferrer", "output_examples"), ("Logs", "inference_result")):
        assert digests_of(theirs, node, key) == digests_of(ours, node, key)
        assert len(digests_of(ours, node, key)) == 2
    metrics = [
        results.summarize(result.output("Evaluator", "evaluation").uri) for result in (ours, theirs)
    ]
    assert metrics[0] == metrics[1]
    assert len(metrics[0]) == 2


def test_metrics_of_a_saved_model_are_those_of_one_process(cluster, tmp_path):
    folder = tmp_path / "labelled"
    folder.mkdir()
    rows = [f"{row / 1000 - 2},{int(row > 2500)},{row % 3}" for row in range(4000)]
    (folder / "data.csv").write_text("\n".join(["amount,large,town", *rows]) + "\n")
    config = {
        "model_specs": [{"label_key": "large", "signature_name": "serving_default"}],
        "slicing_specs": [{}, {"feature_keys": ["town"]}],
        "metrics_specs": EVAL_CONFIG["metrics_specs"],
        "options": EVAL_CONFIG["options"],
    }

    @pipeline
    def evaluated():
        examples = CsvExampleGen(input_base=str(folder)).outputs["examples"]
        model = Saved().outputs["model"]
        return Evaluator(examples=examples, model=model, eval_config=config)

    ours = run(evaluated, tmp_path / "process")
    theirs = run(evaluated, tmp_path / "cluster", cluster.options.args)
    metrics = [
        results.summarize(result.output("Evaluator", "evaluation").uri) for result in (ours, theirs)
    ]
    assert metrics[0] == metrics[1]
    assert len(metrics[0]) == 8


def test_a_row_that_the_model_does_not_take_is_told_with_its_file(cluster, amounts, tmp_path):
    with (amounts / "data.csv").open("a") as file:
        file.write(",small\n")

    @pipeline
    def refused():
        examples = CsvExampleGen(input_base=str(amounts)).outputs["examples"]
        return BulkInferrer(examples=examples, model=Trained().outputs["model"])

    with pytest.raises(RunError, match=r"row \d+: expected a number, got nothing"):
        run(refused, tmp_path / "cluster", cluster.options.args)
