"""Gradient boosted trees, and what they see of a flight."""

from __future__ import annotations

from features import flight_features

from penstock.models import TrainedModel, Training

LABEL = "arrives_late"


def train_fn(training: Training) -> TrainedModel:
    """Train on the split `train`."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    rows = training.train.as_arrow()
    fitted = flight_features.fit(rows)
    model = HistGradientBoostingClassifier(
        max_iter=int(training.parameters["rounds"]),
        learning_rate=0.1,
        early_stopping=False,
        random_state=training.seed,
    )
    model.fit(fitted.matrix(rows), rows.column(LABEL).to_numpy())
    return TrainedModel(model, features=fitted, classes=(0, 1))
