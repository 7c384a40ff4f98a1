"""The metrics that the engine knows, by the names that TFMA gives their classes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from penstock.components.evaluator.arrow import forms, from_matrices, from_rows
from penstock.components.evaluator.arrow.keys import MACRO, WEIGHTED_MACRO, SubKey
from penstock.components.evaluator.arrow.metric import Asked, Metric
from penstock.components.evaluator.arrow.outcomes import View
from penstock.components.evaluator.arrow.tallies import ClassTotals, Tables
from penstock.components.evaluator.unsupported import Unsupported
from penstock.errors import ParameterError

_BUILDERS = {**from_rows.BUILDERS, **from_matrices.BUILDERS}


def metric_of(asked: Asked) -> Metric:
    """Return the metric that is asked for.

    Raises:
      Unsupported: the engine does not know it, or not with these settings.
      ParameterError: its settings do not make sense.
    """
    if asked.aggregation in (MACRO, WEIGHTED_MACRO):
        return _macro_average(asked)
    build = _BUILDERS.get(asked.class_name)
    if build is None:
        raise Unsupported(f"the metric {asked.class_name}")
    function, known = build
    unknown = [name for name in asked.settings if name not in (*known, "name", "dtype")]
    if unknown:
        raise Unsupported(f"the setting {unknown[0]!r} of the metric {asked.class_name}")
    return function(asked)


def known_metrics() -> list[str]:
    """Return the names of all metrics that the engine knows."""
    return sorted(_BUILDERS)


def _macro_average(asked: Asked) -> Metric:
    """Return the mean of a metric over classes, or over the k likeliest ones.

    Weighted, it counts classes as often as they are the label.
    """
    given = dict(asked.class_weights)
    if asked.sub_key is None:
        if not given:
            raise ParameterError(
                f"{asked.class_name} is averaged over classes, and aggregate has no class_weights",
                hint='They name the classes: "class_weights": {"0": 1, "1": 1}.',
            )
        parts = [SubKey(class_id=number) for number in given]
    else:
        assert asked.sub_key.top_k is not None
        parts = [SubKey(k=k + 1) for k in range(asked.sub_key.top_k)]
    children = [
        metric_of(replace(asked, sub_key=part, aggregation=None, class_weights=()))
        for part in parts
    ]
    if any(child.plot_form or child.form is not forms.number for child in children):
        raise Unsupported(f"an average over classes of {asked.class_name}")
    tallies = [tally for child in children for tally in child.tallies]
    labels = None
    if asked.aggregation == WEIGHTED_MACRO and given:
        labels = ClassTotals(View(asked.model, asked.weighted), tuple(given))
        tallies.append(labels)

    def value(tables: Tables) -> float:
        values = np.array([float(child.value(tables)) for child in children])
        weights = np.array([1.0 if p.class_id is None else given[p.class_id] for p in parts])
        if labels is not None:
            totals = tables[labels][:, 0]
            weights = weights * (totals / totals.sum() if totals.sum() else 0)
        total = weights.sum()
        return float((values * weights).sum() / total) if total else float("nan")

    key = replace(children[0].key, sub_key=asked.sub_key, aggregation=MACRO)
    return Metric(key, tuple(dict.fromkeys(tallies)), value)
