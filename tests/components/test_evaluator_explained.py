"""What TFMA's metrics cannot take is said by the names of outputs, labels and metrics."""

from __future__ import annotations

import pyarrow as pa
import pytest

from penstock.authoring import artifacts
from penstock.authoring.beam import BeamOptions
from penstock.components.evaluator import executor
from penstock.data.coding.examples import encode
from penstock.data.records import write_serialized
from penstock.errors import PenstockError


@pytest.fixture(scope="module")
def examples(tmp_path_factory, make_artifact):
    directory = tmp_path_factory.mktemp("examples")
    columns = [pa.array([0.1, 0.9]), pa.array(["yes", "no"]), pa.array([0, 1])]
    rows = pa.RecordBatch.from_arrays(columns, ["x", "answer", "number"])
    write_serialized(str(directory / "Split-eval"), "data_tfrecord", encode(rows))
    return make_artifact(artifacts.Examples, directory, ["eval"])


@pytest.fixture(scope="module")
def models(tmp_path_factory, make_artifact):
    """A model with one output, and one with two."""
    import tensorflow as tf

    class Scoring(tf.Module):
        def __init__(self, names):
            super().__init__()
            self.names, self.weight = names, tf.Variable(1.0)

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
        def serve(self, examples):
            spec = {"x": tf.io.FixedLenFeature([1], tf.float32)}
            x = tf.io.parse_example(examples, spec)["x"] * self.weight
            return {name: tf.identity(x) for name in self.names}

    made = []
    for names in (["score"], ["score", "other"]):
        model = Scoring(names)
        artifact = make_artifact(artifacts.Model, tmp_path_factory.mktemp("model"))
        folder = f"{artifact.uri}/Format-Serving"
        tf.saved_model.save(model, folder, signatures={"serving_default": model.serve})
        made.append(artifact)
    return made


@pytest.fixture
def evaluate(examples, make_artifact, tmp_path):
    def run(model, spec, metric="BinaryAccuracy", beam=BeamOptions()):
        executor.evaluate(
            examples=[examples],
            evaluation=make_artifact(artifacts.ModelEvaluation, tmp_path / "evaluation"),
            blessing=make_artifact(artifacts.ModelBlessing, tmp_path / "blessing"),
            model=model,
            eval_config={
                "model_specs": [{"signature_name": "serving_default", **spec}],
                "metrics_specs": [{"metrics": [{"class_name": metric}]}],
            },
            beam=beam,
        )

    return run


@pytest.mark.parametrize("beam", [BeamOptions(), BeamOptions(("--runner=DirectRunner",))])
def test_labels_that_are_texts_are_named_with_the_metric(evaluate, models, beam):
    words = "labels in 'answer' are texts, as 'yes', and the model gives numbers, .*BinaryAccuracy"
    with pytest.raises(PenstockError, match=words) as caught:
        evaluate(models[0], {"label_key": "answer"}, beam=beam)
    assert "name the transformed feature as label_key" in str(caught.value)


@pytest.mark.parametrize(
    ("spec", "metric", "words"),
    [
        ({}, "AUC", "the outputs score, other, and nothing says which of these AUC are about"),
        ({"prediction_key": "scoer"}, "AUC", "gives no 'scoer', which .* mean 'score'?"),
        ({"signature_name": "serving"}, "AUC", "no signature 'serving'.*mean 'serving_default'?"),
        ({}, "AUCC", "names the metric 'AUCC', which neither TFMA nor Keras has. .* mean 'AUC'?"),
    ],
)
def test_what_a_config_names_and_is_not_there_is_answered(evaluate, models, spec, metric, words):
    with pytest.raises(PenstockError, match=words):
        evaluate(models[1], {"label_key": "number", **spec}, metric)


def test_an_output_that_is_named_is_evaluated(evaluate, models):
    evaluate(models[1], {"label_key": "number", "prediction_key": "score"})
