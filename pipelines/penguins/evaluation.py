"""What a model of penguins is measured by, and when it is good enough."""

from __future__ import annotations

from typing import Any

from penstock.pipelines.penguins.features import LABEL, transformed

# One more mistake among the hundred-odd penguins of the evaluation split is within chance.
TOLERATED_LOSS = 0.02


def eval_config(minimum_accuracy: Any) -> dict[str, Any]:
    """Return TFMA's configuration; `minimum_accuracy` may be a pipeline parameter."""
    overall = {
        "value_threshold": {"lower_bound": minimum_accuracy},
        "change_threshold": {"direction": "HIGHER_IS_BETTER", "absolute": -TOLERATED_LOSS},
    }
    # A slice of a dozen penguins says little: the thresholds are those of all of them.
    accuracy = {
        "class_name": "SparseCategoricalAccuracy",
        "per_slice_thresholds": [{"slicing_specs": [{}], "threshold": overall}],
    }
    # The label is a text: the model's own preprocessing numbers it.
    model_spec = {
        "signature_name": "serving_default",
        "preprocessing_function_names": ["transform_features"],
        "label_key": transformed(LABEL),
    }
    return {
        "model_specs": [model_spec],
        "slicing_specs": [{}, {"feature_keys": ["island"]}, {"feature_keys": ["sex"]}],
        "metrics_specs": [{"metrics": [accuracy, {"class_name": "ExampleCount"}]}],
    }
