"""The models that are served, saved for each server: run by the environment of that server.

    python models.py sklearn|savedmodel penstock|mlflow|kserve FOLDER

Both take four numbers a row. Their weights are made up by a seed, so all servers have the same.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

COLUMNS = ("bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g")
MEANS, SPREADS = (43.9, 17.2, 200.9, 4201.8), (5.5, 2.0, 14.1, 802.0)


def rows(number: int = 400) -> np.ndarray:
    """Return rows of penguin-like numbers."""
    return np.random.default_rng(7).normal(MEANS, SPREADS, (number, len(COLUMNS)))


def classifier() -> Any:
    """Return a pipeline of scikit-learn: scaling and a logistic regression of three classes."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    known = rows()
    species = np.array(["Adelie", "Chinstrap", "Gentoo"])[np.argsort(known[:, 2]) % 3]
    return make_pipeline(StandardScaler(), LogisticRegression()).fit(known, species)


def network() -> Any:
    """Return a TensorFlow module of two layers with a serving signature."""
    import tensorflow as tf

    random = np.random.default_rng(7)

    class Network(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.hidden = tf.Variable(random.normal(0, 0.1, (4, 64)).astype("float32"))
            self.last = tf.Variable(random.normal(0, 0.1, (64, 3)).astype("float32"))

        @tf.function(input_signature=[tf.TensorSpec([None, 4], tf.float32, name="numbers")])
        def __call__(self, numbers: Any) -> Any:
            scaled = (numbers - MEANS) / SPREADS
            return tf.nn.softmax(tf.nn.relu(scaled @ self.hidden) @ self.last)

    return Network()


def save(kind: str, server: str, folder: str) -> None:
    """Save a model in the form that a server loads."""
    if kind == "savedmodel":
        import tensorflow as tf

        module = network()
        if server != "mlflow":
            tf.saved_model.save(module, folder, signatures=module.__call__)
            return
        import mlflow

        mlflow.tensorflow.save_model(
            module,
            folder,
            saved_model_kwargs={"signatures": module.__call__},
            signature=mlflow.models.infer_signature(
                rows(2).astype("float32"), np.zeros((2, 3), "float32")
            ),
        )
        return
    model = classifier()
    if server == "penstock":
        import pyarrow as pa

        from penstock.models import save_model

        example = pa.table(dict(zip(COLUMNS, rows(16).T, strict=True)))
        save_model(model, folder, example=example)
    elif server == "mlflow":
        import mlflow

        signature = mlflow.models.infer_signature(rows(2), model.predict(rows(2)))
        mlflow.sklearn.save_model(model, folder, signature=signature)
    else:
        import os

        import joblib

        os.makedirs(folder)
        joblib.dump(model, os.path.join(folder, "model.joblib"))


if __name__ == "__main__":
    save(*sys.argv[1:])
