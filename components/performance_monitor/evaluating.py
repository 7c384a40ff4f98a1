"""Metrics of outcomes, as the Evaluator computes them."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from penstock.components.evaluator.executor import completed_config, evaluate_tables
from penstock.data.results import evaluation as results
from penstock.monitoring.measures import PERFORMANCE, Measure
from penstock.monitoring.outcomes import Outcomes

ALL_ROWS = "all rows"
_LABEL, _PREDICTION = "monitor/label", "monitor/prediction"
# What the share of right predictions is among the Evaluator's metrics, with whether a prediction
# is right for its label.
_ACCURACY, _AS_METRIC = "Accuracy", "MeanLabel"
_COUNT = "ExampleCount"


def evaluated(
    table: pa.Table,
    outcomes: Outcomes,
    metrics: Sequence[str],
    slices: Iterable[Sequence[str]],
    evaluation: str,
    folder: str,
) -> list[Measure]:
    """Return metrics of rows by slice, with intervals at 95 %, and write the evaluation.

    Raises:
      ParameterError: there is no such metric.
      DataError: the rows have no column of a slice.
    """
    columns = list(dict.fromkeys(name for one in slices for name in one))
    given = table.select([name for name in columns if name in table.column_names])
    given = given.append_column(_LABEL, pa.array(outcomes.label, pa.float32()))
    given = given.append_column(_PREDICTION, pa.array(outcomes.score, pa.float32()))
    with tempfile.TemporaryDirectory(dir=folder or None) as temporary:
        path = os.path.join(temporary, "outcomes.parquet")
        pq.write_table(given, path)
        config = completed_config(_config(metrics, slices), has_baseline=False)
        evaluate_tables([path], config, evaluation)
    found = results.summarize(evaluation)
    counts = {one.slice: int(one.value) for one in found if one.metric == _spelled(_COUNT)}
    wanted = {_spelled(_AS_METRIC if name == _ACCURACY else name): name for name in metrics}
    return [
        Measure(
            PERFORMANCE,
            ALL_ROWS if one.slice == results.OVERALL else one.slice,
            wanted[one.metric],
            one.value,
            rows=counts.get(one.slice, 0),
            lower=one.lower,
            upper=one.upper,
        )
        for one in found
        if one.metric in wanted
    ]


def _spelled(name: str) -> str:
    """Return what results call a metric: AUCPrecisionRecall is auc_precision_recall."""
    words = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", name)
    return re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", words).lower()


def _config(metrics: Sequence[str], slices: Iterable[Sequence[str]]) -> dict[str, Any]:
    names = [_AS_METRIC if name == _ACCURACY else name for name in metrics]
    return {
        "model_specs": [{"label_key": _LABEL, "prediction_key": _PREDICTION}],
        "metrics_specs": [{"metrics": [{"class_name": name} for name in (*names, _COUNT)]}],
        "slicing_specs": [{}, *({"feature_keys": list(one)} for one in slices)],
        "options": {"compute_confidence_intervals": True},
    }
