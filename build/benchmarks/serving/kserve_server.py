"""KServe's Python server with a model as its documentation writes one.

python kserve_server.py sklearn|savedmodel FOLDER --http_port PORT
"""

from __future__ import annotations

import os
import sys
from typing import Any

from kserve import Model, ModelServer


class Loaded(Model):
    """A model that answers protocol v1."""

    def __init__(self, kind: str, folder: str) -> None:
        super().__init__("model")
        self.kind, self.folder = kind, folder
        self.ready = self.load()

    def load(self) -> bool:
        """Load the model of the folder."""
        if self.kind == "sklearn":
            import joblib

            self.predictor = joblib.load(os.path.join(self.folder, "model.joblib")).predict
        else:
            import tensorflow as tf

            self.loaded = tf.saved_model.load(self.folder)
            self.predictor = self.loaded.signatures["serving_default"]
        return True

    def predict(self, payload: dict[str, Any], headers: Any = None, **_: Any) -> dict[str, Any]:
        """Answer the rows of a request."""
        import numpy as np

        instances = np.array(payload["instances"])
        if self.kind == "sklearn":
            return {"predictions": self.predictor(instances).tolist()}
        import tensorflow as tf

        numbers = tf.constant(instances, tf.float32)
        return {"predictions": self.predictor(numbers=numbers)["output_0"].numpy().tolist()}


if __name__ == "__main__":
    kind, folder = sys.argv[1:3]
    del sys.argv[1:3]
    from kserve import model_server

    arguments, _ = model_server.parser.parse_known_args()
    ModelServer(http_port=arguments.http_port, enable_grpc=False).start([Loaded(kind, folder)])
