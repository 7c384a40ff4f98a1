"""What the engine of Arrow tables does not know, done by TFMA: on examples with the predictions."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from penstock.authoring.beam import BeamOptions
from penstock.components.evaluator import on_beam
from penstock.components.evaluator.arrow.outcomes import Outcome
from penstock.components.evaluator.arrow.reading import Evaluated, outcome_of
from penstock.components.evaluator.eval_config import as_tfmas
from penstock.components.evaluator.job import Job
from penstock.data.coding.examples import encode
from penstock.data.records import TFRecordWriter

if TYPE_CHECKING:
    from tensorflow_model_analysis import EvalConfig, EvalSharedModel

_PREFIX = "penstock_"
# Metrics with these words in their names are of all classes, also where there are two.
_OF_ALL_CLASSES = ("Categorical", "MultiClass", "TopK")


def evaluate(
    tables: Iterable[pa.Table],
    config: Any,
    models: Sequence[Evaluated],
    output_directory: str,
    beam: BeamOptions = BeamOptions(),
) -> None:
    """Write TFMA's evaluation of models of any framework into a directory.

    `config` is a completed one. Each row gets for each model a prediction, the label as a number,
    and the weight; TFMA reads these in place of asking a model. A schema would leave them out.
    """
    with tempfile.TemporaryDirectory(prefix="penstock-evaluation-") as directory:
        file = Path(directory, "examples-00000-of-00001.gz")
        with TFRecordWriter(file) as records:
            for batch in _with_predictions(tables, config, models):
                records.write_many(encode(batch))
        job = Job(
            files=[str(file)],
            eval_config=_tfmas_config(config),
            models=[_shared_model(model) for model in models],
            output_directory=output_directory,
        )
        on_beam.evaluate(job, beam)


def _with_predictions(
    tables: Iterable[pa.Table], config: Any, models: Sequence[Evaluated]
) -> Iterator[pa.RecordBatch]:
    specs = {spec.name: spec for spec in config.model_specs}
    both = _looks_at_all_classes(config)
    done = 0
    for table in tables:
        for model in models:
            outcome = outcome_of(table, specs[model.name], model, done)
            for what, array in _columns(outcome, both).items():
                table = table.append_column(_column(what, model.name), array)
        done += table.num_rows
        yield from table.combine_chunks().to_batches()


def _columns(outcome: Outcome, both: bool) -> dict[str, pa.Array]:
    is_binary = outcome.classes is not None and outcome.outputs == 2 and not both
    predictions = outcome.predictions[:, 1:] if is_binary else outcome.predictions
    columns = {"prediction": _lists(predictions), "label": _lists(outcome.labels)}
    if outcome.weights is not None:
        columns["weight"] = _lists(outcome.weights[:, None])
    return columns


def _lists(matrix: np.ndarray) -> pa.Array:
    values = pa.array(np.ascontiguousarray(matrix, np.float32).reshape(-1))
    return pa.FixedSizeListArray.from_arrays(values, matrix.shape[1])


def _column(what: str, model: str) -> str:
    return f"{_PREFIX}{what}_{model}" if model else f"{_PREFIX}{what}"


def _looks_at_all_classes(config: Any) -> bool:
    return any(
        spec.HasField("binarize")
        or spec.HasField("aggregate")
        or any(word in metric.class_name for metric in spec.metrics for word in _OF_ALL_CLASSES)
        for spec in config.metrics_specs
    )


def _tfmas_config(config: Any) -> EvalConfig:
    result = as_tfmas(config)
    for spec in result.model_specs:
        spec.label_key = _column("label", spec.name)
        spec.prediction_key = _column("prediction", spec.name)
        if spec.example_weight_key:
            spec.example_weight_key = _column("weight", spec.name)
    return result


def _shared_model(model: Evaluated) -> EvalSharedModel:
    from tensorflow_model_analysis import constants
    from tensorflow_model_analysis.api import types

    return types.EvalSharedModel(
        model_name=model.name,
        model_path=model.location,
        model_type=constants.MATERIALIZED_PREDICTION,
        include_default_metrics=False,
    )
