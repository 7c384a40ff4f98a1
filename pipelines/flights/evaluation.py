"""What a model of late arrivals is measured by, and when it is good enough."""

from __future__ import annotations

from typing import Any

from penstock.pipelines.flights.features import LABEL

# A model may lose this much AUC to the last blessed one before it is held back: about the width
# of the confidence interval of a year's evaluation split.
TOLERATED_LOSS = 0.003


def eval_config(minimum_auc: Any) -> dict[str, Any]:
    """Return TFMA's configuration; `minimum_auc` may be a pipeline parameter."""
    auc = {
        "class_name": "AUC",
        "threshold": {
            "value_threshold": {"lower_bound": minimum_auc},
            "change_threshold": {
                "direction": "HIGHER_IS_BETTER",
                "absolute": -TOLERATED_LOSS,
            },
        },
    }
    others = ("ExampleCount", "BinaryAccuracy", "MeanLabel", "MeanPrediction", "Calibration")
    return {
        "model_specs": [{"signature_name": "serving_default", "label_key": LABEL}],
        "slicing_specs": [{}, {"feature_keys": ["carrier"]}, {"feature_keys": ["origin"]}],
        "metrics_specs": [{"metrics": [auc, *({"class_name": name} for name in others)]}],
        "options": {
            "compute_confidence_intervals": True,
            "confidence_intervals": {"method": "JACKKNIFE"},
        },
    }
