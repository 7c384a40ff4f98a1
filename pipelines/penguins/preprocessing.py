"""Preprocessing of penguins: measurements scaled, species numbered."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tensorflow_transform as tft

from penstock.pipelines.penguins import features as f


def preprocessing_fn(inputs: dict[str, Any]) -> dict[str, Any]:
    """Return the transformed measurements and the number of the species, one value a penguin."""
    outputs = {}
    for name in f.NUMBERS:
        scaled = tft.scale_to_z_score(tf.cast(inputs[name], tf.float32))
        # A missing measurement becomes 0, the mean.
        outputs[f.transformed(name)] = _dense(scaled, 0.0)
    outputs[f.transformed(f.LABEL)] = tft.compute_and_apply_vocabulary(
        _dense(inputs[f.LABEL], ""), vocab_filename=f.LABEL
    )
    return outputs


def _dense(values: Any, default: Any) -> Any:
    if isinstance(values, tf.sparse.SparseTensor):
        rows = values.dense_shape[0]
        whole = tf.SparseTensor(values.indices, values.values, [rows, 1])
        values = tf.sparse.to_dense(whole, default_value=default)
    return tf.reshape(values, [-1])
