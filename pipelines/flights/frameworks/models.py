"""A model of late arrivals in each framework: the same rows, features and contract."""

from __future__ import annotations

from typing import Any

import numpy as np

from penstock.models import TrainedModel, Training
from penstock.pipelines.flights.features import LABEL
from penstock.pipelines.flights.frameworks.features import network_features, tree_features

CLASSES = (0, 1)

_BATCH = 512
_UNITS = (128, 64)
_RATE = 2e-3


def sklearn_model(training: Training) -> TrainedModel:
    """Train gradient boosted trees of scikit-learn."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    model = HistGradientBoostingClassifier(
        max_iter=_rounds(training, 250),
        learning_rate=0.1,
        max_leaf_nodes=63,
        early_stopping=False,
        random_state=training.seed,
    )
    return _fitted_trees(model, training)


def xgboost_model(training: Training) -> TrainedModel:
    """Train gradient boosted trees of XGBoost."""
    from xgboost import XGBClassifier

    model = XGBClassifier(
        n_estimators=_rounds(training, 300),
        learning_rate=0.1,
        max_depth=8,
        subsample=0.8,
        colsample_bytree=0.8,
        random_state=training.seed,
    )
    return _fitted_trees(model, training)


def lightgbm_model(training: Training) -> TrainedModel:
    """Train gradient boosted trees of LightGBM."""
    from lightgbm import LGBMClassifier

    model = LGBMClassifier(
        n_estimators=_rounds(training, 300),
        learning_rate=0.1,
        num_leaves=63,
        random_state=training.seed,
        verbose=-1,
    )
    return _fitted_trees(model, training)


def torch_model(training: Training) -> TrainedModel:
    """Train a network of PyTorch."""
    import torch

    rows = training.train.as_arrow()
    fitted = network_features.fit(rows)
    inputs = torch.from_numpy(fitted.matrix(rows).astype(np.float32))
    labels = torch.from_numpy(_labels(rows).astype(np.float32))
    torch.manual_seed(training.seed)
    model = torch.nn.Sequential(
        torch.nn.Linear(inputs.shape[1], _UNITS[0]),
        torch.nn.ReLU(),
        torch.nn.Dropout(0.2),
        torch.nn.Linear(_UNITS[0], _UNITS[1]),
        torch.nn.ReLU(),
        torch.nn.Dropout(0.2),
        torch.nn.Linear(_UNITS[1], 1),
    )
    rounds, batches = _rounds(training, 6), -(-len(inputs) // _BATCH)
    optimizer = torch.optim.Adam(model.parameters(), lr=_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, rounds * batches)
    measure = torch.nn.BCEWithLogitsLoss()
    for _ in range(rounds):
        for some in torch.randperm(len(inputs)).split(_BATCH):
            optimizer.zero_grad()
            measure(model(inputs[some])[:, 0], labels[some]).backward()
            optimizer.step()
            schedule.step()
    return TrainedModel(model, features=fitted, classes=CLASSES, options={"activation": "sigmoid"})


def keras_model(training: Training) -> TrainedModel:
    """Train a network of Keras."""
    import keras

    rows = training.train.as_arrow()
    fitted = network_features.fit(rows)
    inputs, labels = fitted.matrix(rows).astype(np.float32), _labels(rows)
    keras.utils.set_random_seed(training.seed)
    layers: list[Any] = [keras.Input((inputs.shape[1],))]
    for units in _UNITS:
        layers += [keras.layers.Dense(units, activation="relu"), keras.layers.Dropout(0.2)]
    model = keras.Sequential([*layers, keras.layers.Dense(1, activation="sigmoid")])
    rounds, batches = _rounds(training, 6), -(-len(inputs) // _BATCH)
    rate = keras.optimizers.schedules.CosineDecay(_RATE, rounds * batches)
    model.compile(optimizer=keras.optimizers.Adam(rate), loss="binary_crossentropy")
    model.fit(inputs, labels, batch_size=_BATCH, epochs=rounds, verbose=2)
    return TrainedModel(model, features=fitted, classes=CLASSES)


def _fitted_trees(model: Any, training: Training) -> TrainedModel:
    rows = training.train.as_arrow()
    fitted = tree_features.fit(rows)
    model.fit(fitted.matrix(rows), _labels(rows))
    return TrainedModel(model, features=fitted, classes=CLASSES)


def _rounds(training: Training, usual: int) -> int:
    return int(training.parameters.get("rounds") or usual)


def _labels(rows: Any) -> Any:
    return rows.column(LABEL).to_numpy()
