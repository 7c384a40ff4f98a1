"""A preprocessing_fn with analyzers of all kinds, for rows that tests of clusters make."""

from __future__ import annotations

from typing import Any


def preprocessing_fn(inputs: dict[str, Any]) -> dict[str, Any]:
    """Return an output for each kind of analyzer."""
    import tensorflow as tf
    import tensorflow_transform as tft

    amount, word = tf.reshape(inputs["amount"], [-1]), tf.reshape(inputs["word"], [-1])
    is_large = tf.cast(amount > 0.5, tf.int64)
    return {
        "scaled": tft.scale_to_z_score(amount),
        "scaled_per_word": tft.scale_to_z_score_per_key(amount, word),
        "bucket": tft.bucketize(amount, 10),
        "word": tft.compute_and_apply_vocabulary(word, vocab_filename="words"),
        "telling": tft.compute_and_apply_vocabulary(
            word, labels=is_large, vocab_filename="telling"
        ),
        "least": tf.fill(tf.shape(amount), tft.min(amount)),
    }
