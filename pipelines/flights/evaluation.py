"""What a model of late arrivals is measured by, and when it is good enough."""

from __future__ import annotations

from typing import Any

from penstock.pipelines.flights.features import LABEL

# A model may lose this much AUC to the last blessed one before it is held back: more than the
# half width of the confidence interval (0.002) of a year's evaluation split.
TOLERATED_LOSS = 0.003

# No airport may be served much worse than the rest. Carriers get no floor: some have so few
# flights that their AUC is chance.
MINIMUM_AUC_BY_ORIGIN = 0.85


def eval_config(minimum_auc: Any) -> dict[str, Any]:
    """Return TFMA's configuration; `minimum_auc` may be a pipeline parameter."""
    overall = {
        "value_threshold": {"lower_bound": minimum_auc},
        "change_threshold": {"direction": "HIGHER_IS_BETTER", "absolute": -TOLERATED_LOSS},
    }
    by_origin = {"value_threshold": {"lower_bound": MINIMUM_AUC_BY_ORIGIN}}
    auc = {
        "class_name": "AUC",
        # TFMA's default of 10,000 costs much with confidence intervals and gains nothing.
        "config": '{"num_thresholds": 1000}',
        "per_slice_thresholds": [
            {"slicing_specs": [{}], "threshold": overall},
            {"slicing_specs": [{"feature_keys": ["origin"]}], "threshold": by_origin},
        ],
    }
    others = ("ExampleCount", "BinaryAccuracy", "Calibration")
    return {
        "model_specs": [{"signature_name": "serving_default", "label_key": LABEL}],
        "slicing_specs": [{}, {"feature_keys": ["carrier"]}, {"feature_keys": ["origin"]}],
        "metrics_specs": [{"metrics": [auc, *({"class_name": name} for name in others)]}],
        "options": {
            "compute_confidence_intervals": True,
            "confidence_intervals": {"method": "JACKKNIFE"},
        },
    }
