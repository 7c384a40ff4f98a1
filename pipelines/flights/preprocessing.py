"""Preprocessing of flights: the same computation for training and for serving."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tensorflow_transform as tft

from penstock.pipelines.flights import features as f

_OLDEST_PLANE_YEARS = 50.0
_MINUTES_A_DAY = 24 * 60
_UNKNOWN = "unknown"


def preprocessing_fn(inputs: dict[str, Any]) -> dict[str, Any]:
    """Return the transformed features and the label, one value a flight."""
    outputs = {}
    for name in f.VOCABULARY_FEATURES:
        outputs[f.transformed(name)] = tft.compute_and_apply_vocabulary(
            _dense(inputs[name], _UNKNOWN),
            frequency_threshold=20,
            num_oov_buckets=1,
            vocab_filename=name,
        )
    for name, categories in f.CATEGORIES.items():
        outputs[f.transformed(name)] = tf.clip_by_value(_dense(inputs[name], 0), 0, categories - 1)
    for name, buckets in f.BUCKETS.items():
        outputs[f.transformed(name)] = tft.bucketize(_dense(inputs[name], 0), buckets)
    for name in f.SCALED_FEATURES:
        outputs[f.transformed(name)] = _dense(tft.scale_to_z_score(_as_float(inputs[name])), 0.0)
    outputs |= {
        f.transformed("plane_age"): _plane_age(inputs),
        f.transformed("scheduled_hours"): scheduled_hours(inputs),
    }
    # Near the label's border every minute counts, far from it only the order of magnitude.
    delay = tf.cast(_dense(inputs["dep_delay"], 0), tf.float32)
    outputs[f.transformed("minutes_late")] = tf.clip_by_value(delay, -30.0, 60.0) / 30.0
    outputs[f.transformed("hours_late")] = tf.math.log1p(tf.nn.relu(delay) / 60.0)
    outputs[f.LABEL] = _dense(inputs[f.LABEL], 0)
    return outputs


def _dense(values: Any, default: Any) -> Any:
    """Return one value a row, `default` where it is missing."""
    if isinstance(values, tf.sparse.SparseTensor):
        rows = values.dense_shape[0]
        whole = tf.SparseTensor(values.indices, values.values, [rows, 1])
        values = tf.sparse.to_dense(whole, default_value=default)
    return tf.reshape(values, [-1])


def _as_float(values: Any) -> Any:
    return tf.cast(values, tf.float32)


def _plane_age(inputs: dict[str, Any]) -> Any:
    """Return the age in years, scaled; 0, about the mean, where the plane is not known."""
    built = _dense(inputs["plane_year"], 0)
    age = tf.cast(_dense(inputs["year"], 0) - built, tf.float32)
    scaled = (tf.clip_by_value(age, 0.0, _OLDEST_PLANE_YEARS) - 12.0) / 7.0
    return tf.where(built > 0, scaled, tf.zeros_like(scaled))


def scheduled_hours(inputs: dict[str, Any]) -> Any:
    """Return the hours from scheduled departure to scheduled arrival, in local times, centered.

    The destination, another feature, tells the time zone.
    """
    leave, arrive = (_minute_of_day(_dense(inputs[name], 0)) for name in f.SCHEDULE_FEATURES)
    return (tf.cast((arrive - leave) % _MINUTES_A_DAY, tf.float32) - 170.0) / 60.0


def _minute_of_day(clock: Any) -> Any:
    """Return the minute that a clock time such as 1745 stands for."""
    return clock // 100 * 60 + clock % 100
