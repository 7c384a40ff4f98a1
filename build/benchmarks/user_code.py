"""The user's code, the same for both: what TFX's taxi template does with such columns."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tensorflow_transform as tft
from tfx_bsl.tfxio import dataset_options

CATEGORIES = ("payment_type", "company")
CODES = {"trip_start_hour": 24, "trip_start_day": 31, "trip_start_month": 13}
AREAS = {"pickup_community_area": 78, "dropoff_community_area": 78}
PLACES = ("pickup_latitude", "pickup_longitude", "dropoff_latitude", "dropoff_longitude")
NUMBERS = ("trip_miles", "fare", "trip_seconds")
BUCKETS = 10
LABEL = "generous"
VOCABULARY = 1000
UNSEEN = 10
BATCH = 256


def preprocessing_fn(inputs: dict[str, Any]) -> dict[str, Any]:
    """Scale numbers, look up categories, put places into buckets; the label is as it was."""
    outputs = {}
    for name in NUMBERS:
        outputs[f"{name}_xf"] = tft.scale_to_z_score(tf.cast(_dense(inputs[name]), tf.float32))
    for name in CATEGORIES:
        outputs[f"{name}_xf"] = tft.compute_and_apply_vocabulary(
            _dense(inputs[name]), top_k=VOCABULARY, num_oov_buckets=UNSEEN, vocab_filename=name
        )
    for name in PLACES:
        outputs[f"{name}_xf"] = tft.bucketize(_dense(inputs[name]), BUCKETS)
    for name in (*CODES, *AREAS):
        outputs[f"{name}_xf"] = _dense(inputs[name])
    outputs[LABEL] = _dense(inputs[LABEL])
    return outputs


def _dense(values: Any) -> tf.Tensor:
    if isinstance(values, tf.SparseTensor):
        default = "" if values.dtype == tf.string else 0
        shape = [values.dense_shape[0], 1]
        values = tf.sparse.to_dense(
            tf.SparseTensor(values.indices, values.values, shape), default_value=default
        )
    return tf.reshape(values, [-1])


def run_fn(fn_args: Any) -> None:
    """Train a small network and save it with its preprocessing."""
    tf.keras.utils.set_random_seed(1)
    graph = tft.TFTransformOutput(fn_args.transform_output)
    model = build_model()
    model.fit(
        _dataset(fn_args, fn_args.train_files, graph),
        steps_per_epoch=fn_args.train_steps,
        verbose=2,
    )
    served = _Served(model, graph)
    examples = tf.TensorSpec([None], tf.string, name="examples")
    signature = tf.function(served.serve).get_concrete_function(examples)
    tf.saved_model.save(
        served, fn_args.serving_model_dir, signatures={"serving_default": signature}
    )


def _dataset(fn_args: Any, files: list[str], graph: Any) -> tf.data.Dataset:
    options = dataset_options.TensorFlowDatasetOptions(batch_size=BATCH, label_key=LABEL)
    schema = graph.transformed_metadata.schema
    return fn_args.data_accessor.tf_dataset_factory(files, options, schema).repeat()


def build_model() -> tf.keras.Model:
    """Return the compiled network; its inputs are named as the transformed features."""
    keras = tf.keras
    inputs, parts = {}, []
    sizes = {**CODES, **AREAS, **dict.fromkeys(PLACES, BUCKETS)}
    sizes |= dict.fromkeys(CATEGORIES, VOCABULARY + UNSEEN)
    for name, size in sizes.items():
        inputs[f"{name}_xf"] = keras.Input((1,), name=f"{name}_xf", dtype="int64")
        embedded = keras.layers.Embedding(size, 8)(inputs[f"{name}_xf"])
        parts.append(keras.layers.Flatten()(embedded))
    for name in NUMBERS:
        inputs[f"{name}_xf"] = keras.Input((1,), name=f"{name}_xf")
        parts.append(inputs[f"{name}_xf"])
    hidden = keras.layers.Dense(64, activation="relu")(keras.layers.Concatenate()(parts))
    output = keras.layers.Dense(1, activation="sigmoid")(hidden)
    model = keras.Model(inputs, output)
    model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["binary_accuracy"])
    return model


class _Served(tf.Module):
    """The network behind its preprocessing, as the Evaluator calls it."""

    def __init__(self, model: tf.keras.Model, graph: Any) -> None:
        super().__init__()
        self.model = model
        self.preprocessing = graph.transform_features_layer()
        spec = graph.raw_feature_spec()
        self._features = {name: kind for name, kind in spec.items() if name != LABEL}

    def serve(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        """Return the probability of a generous tip, from serialized tf.Examples."""
        features = self.preprocessing(tf.io.parse_example(examples, self._features))
        given = {
            name: tf.reshape(value, [-1, 1]) for name, value in features.items() if name != LABEL
        }
        return {"outputs": self.model(given)}
