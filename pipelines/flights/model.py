"""The model of late arrivals: embeddings and numbers, wide and deep."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import tensorflow as tf
import tensorflow_transform as tft
from tfx_bsl.tfxio import dataset_options

from penstock.models import name_classes
from penstock.pipelines.flights import features as f

# Of whether a flight arrives late.
CLASSES = (0, 1)

TRAIN_BATCH = 512
EVAL_BATCH = 2048
LEARNING_RATE = 2e-3
HIDDEN_UNITS = (128, 64)
# Without it more steps learn single days by heart: their weather tells them apart.
DROPOUT = 0.2

# The delay shows the label most; its embedding is wide enough to meet every other feature.
_EMBEDDING_UNITS = {"carrier": 8, "origin": 3, "dest": 16, "manufacturer": 4, "hour": 8}
_EMBEDDING_UNITS |= {"weekday": 4, "dep_delay": 16, "distance": 4}


def run_fn(fn_args: Any) -> None:
    """Train on the transformed examples and save the model with its serving signatures."""
    tf.random.set_seed(20130101)
    graph = tft.TFTransformOutput(fn_args.transform_output)
    training = dataset(fn_args, fn_args.train_files, graph, TRAIN_BATCH, training=True)
    evaluation = dataset(fn_args, fn_args.eval_files, graph, EVAL_BATCH, training=False)
    steps = fn_args.train_steps or 3000
    model = build_model({name: category_count(graph, name) for name in f.EMBEDDED}, steps)
    log = tf.keras.callbacks.TensorBoard(log_dir=fn_args.model_run_dir, update_freq="epoch")
    # A hundred steps make an "epoch", so that the curves have points whatever the data's size.
    per_epoch = min(100, steps)
    model.fit(
        training,
        steps_per_epoch=per_epoch,
        epochs=max(1, steps // per_epoch),
        callbacks=[log],
        verbose=2,
    )
    model.evaluate(evaluation, steps=fn_args.eval_steps, verbose=2)
    export(model, graph, fn_args.serving_model_dir)


def dataset(
    fn_args: Any, files: list[str], graph: Any, batch_size: int, *, training: bool
) -> tf.data.Dataset:
    """Return batches of transformed features and labels; those for training repeat for ever."""
    options = dataset_options.TensorFlowDatasetOptions(
        batch_size=batch_size,
        label_key=f.LABEL,
        num_epochs=1,
        shuffle=training,
        shuffle_buffer_size=50_000,
    )
    schema = graph.transformed_metadata.schema
    batches = fn_args.data_accessor.tf_dataset_factory(files, options, schema)
    if training:
        # A year of flights is 40 MB: read once, then drawn from memory in another order.
        batches = batches.cache().shuffle(1000, seed=1).repeat()
    return batches.prefetch(tf.data.AUTOTUNE)


def category_count(graph: Any, name: str) -> int:
    """Return how many numbers a categorical feature can become."""
    if name in f.VOCABULARY_FEATURES:
        return int(graph.vocabulary_size_by_name(name)) + 1
    return f.CATEGORIES.get(name) or f.BUCKETS[name]


def build_model(category_counts: Mapping[str, int], steps: int) -> tf.keras.Model:
    """Return the compiled Keras model; its inputs are named as the transformed features."""
    keras = tf.keras
    inputs, deep, wide = {}, [], []
    for name in f.EMBEDDED:
        key, count = f.transformed(name), category_counts[name]
        inputs[key] = keras.Input(shape=(1,), name=key, dtype="int64")
        deep.append(_flat(keras.layers.Embedding(count, _EMBEDDING_UNITS[name])(inputs[key])))
        wide.append(_flat(keras.layers.Embedding(count, 1)(inputs[key])))
    for name in f.NUMBERS:
        key = f.transformed(name)
        inputs[key] = keras.Input(shape=(1,), name=key, dtype="float32")
        deep.append(inputs[key])
    hidden = keras.layers.Concatenate()(deep)
    for units in HIDDEN_UNITS:
        hidden = keras.layers.Dense(units, activation="relu")(hidden)
        hidden = keras.layers.Dropout(DROPOUT)(hidden)
    logit = keras.layers.Add()([keras.layers.Dense(1)(hidden), *wide])
    late = keras.layers.Activation("sigmoid", name="late")(logit)
    model = keras.Model(inputs, late)
    rate = keras.optimizers.schedules.CosineDecay(LEARNING_RATE, decay_steps=steps)
    model.compile(
        optimizer=keras.optimizers.Adam(rate),
        loss="binary_crossentropy",
        metrics=[keras.metrics.AUC(name="auc"), keras.metrics.BinaryAccuracy(name="accuracy")],
    )
    return model


def _flat(embedded: Any) -> Any:
    return tf.keras.layers.Flatten()(embedded)


class ServedModel(tf.Module):
    """The model together with its preprocessing, as a server and an Evaluator call it."""

    def __init__(self, model: tf.keras.Model, graph: Any) -> None:
        super().__init__()
        self.model = model
        self.preprocessing = graph.transform_features_layer()
        self._raw_features = graph.raw_feature_spec()

    @functools.cached_property
    def _features_to_serve(self) -> dict[str, Any]:
        return {name: spec for name, spec in self._raw_features.items() if name != f.LABEL}

    def serve(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        """Return the probability that each flight arrives late, from serialized tf.Examples."""
        raw = tf.io.parse_example(examples, self._features_to_serve)
        return {"outputs": self._predict(self.preprocessing(raw))}

    def transform_features(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        """Return the transformed features of serialized tf.Examples, the label too."""
        return self.preprocessing(tf.io.parse_example(examples, self._raw_features))

    def _predict(self, features: Mapping[str, tf.Tensor]) -> tf.Tensor:
        keys = [f.transformed(name) for name in (*f.EMBEDDED, *f.NUMBERS)]
        return self.model({key: tf.reshape(features[key], [-1, 1]) for key in keys})


def export(model: tf.keras.Model, graph: Any, directory: str) -> None:
    """Save the model so that TensorFlow Serving can load it."""
    served = ServedModel(model, graph)
    examples = tf.TensorSpec([None], tf.string, name="examples")
    signatures = {
        "serving_default": tf.function(served.serve).get_concrete_function(examples),
        "transform_features": tf.function(served.transform_features).get_concrete_function(
            examples
        ),
    }
    tf.saved_model.save(served, directory, signatures=signatures)
    name_classes(directory, CLASSES)
