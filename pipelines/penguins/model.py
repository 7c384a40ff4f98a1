"""The model of penguins: four measurements, one hidden layer, three species."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tensorflow_transform as tft
from tfx_bsl.tfxio import dataset_options

from penstock.models import name_classes
from penstock.pipelines.penguins import features as f

BATCH = 32
SPECIES_COUNT = 3


def run_fn(fn_args: Any) -> None:
    """Train on the transformed examples and save the model with its serving signatures."""
    tf.keras.utils.set_random_seed(344)
    graph = tft.TFTransformOutput(fn_args.transform_output)
    model = build_model()
    model.fit(
        dataset(fn_args, fn_args.train_files, graph, training=True),
        steps_per_epoch=fn_args.train_steps or 300,
        callbacks=[tf.keras.callbacks.TensorBoard(log_dir=fn_args.model_run_dir)],
        verbose=2,
    )
    model.evaluate(
        dataset(fn_args, fn_args.eval_files, graph, training=False),
        steps=fn_args.eval_steps,
        verbose=2,
    )
    export(model, graph, fn_args.serving_model_dir)


def dataset(fn_args: Any, files: list[str], graph: Any, *, training: bool) -> tf.data.Dataset:
    """Return batches of transformed features and labels; those for training repeat for ever."""
    options = dataset_options.TensorFlowDatasetOptions(
        batch_size=BATCH,
        label_key=f.transformed(f.LABEL),
        num_epochs=None if training else 1,
        shuffle=training,
        shuffle_seed=344,
    )
    schema = graph.transformed_metadata.schema
    return fn_args.data_accessor.tf_dataset_factory(files, options, schema)


def build_model() -> tf.keras.Model:
    """Return the compiled Keras model; its inputs are named as the transformed features."""
    keras = tf.keras
    names = [f.transformed(name) for name in f.NUMBERS]
    inputs = {name: keras.Input(shape=(1,), name=name) for name in names}
    hidden = keras.layers.Dense(16, activation="relu")(
        keras.layers.Concatenate()([inputs[name] for name in names])
    )
    species = keras.layers.Dense(SPECIES_COUNT, activation="softmax", name="species")(hidden)
    model = keras.Model(inputs, species)
    model.compile(
        optimizer=keras.optimizers.Adam(0.02),
        loss="sparse_categorical_crossentropy",
        metrics=["sparse_categorical_accuracy"],
    )
    return model


class ServedModel(tf.Module):
    """The model together with its preprocessing, as a server and an Evaluator call it."""

    def __init__(self, model: tf.keras.Model, graph: Any) -> None:
        super().__init__()
        self.model = model
        self.preprocessing = graph.transform_features_layer()
        self._raw_features = graph.raw_feature_spec()
        self._species = graph.vocabulary_by_name(f.LABEL)

    def serve(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        """Return the probability of each species, from serialized tf.Examples."""
        return {"outputs": self._probabilities(examples)}

    def classify(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        """Return the name of the likeliest species and its probability."""
        probabilities = self._probabilities(examples)
        number = tf.argmax(probabilities, axis=1)
        return {
            "species": tf.gather(tf.constant(self._species), number),
            "probability": tf.reduce_max(probabilities, axis=1),
        }

    def transform_features(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        """Return the transformed features of serialized tf.Examples, the label too."""
        return self.preprocessing(tf.io.parse_example(examples, self._raw_features))

    def _probabilities(self, examples: tf.Tensor) -> tf.Tensor:
        spec = {name: spec for name, spec in self._raw_features.items() if name in f.NUMBERS}
        features = self.preprocessing(tf.io.parse_example(examples, spec))
        keys = [f.transformed(name) for name in f.NUMBERS]
        return self.model({key: tf.reshape(features[key], [-1, 1]) for key in keys})


def export(model: tf.keras.Model, graph: Any, directory: str) -> None:
    """Save the model so that TensorFlow Serving can load it."""
    served = ServedModel(model, graph)
    examples = tf.TensorSpec([None], tf.string, name="examples")
    functions = {
        "serving_default": served.serve,
        "classify": served.classify,
        "transform_features": served.transform_features,
    }
    signatures = {
        name: tf.function(function).get_concrete_function(examples)
        for name, function in functions.items()
    }
    tf.saved_model.save(served, directory, signatures=signatures)
    name_classes(directory, [name.decode() for name in graph.vocabulary_by_name(f.LABEL)])
