"""What a pipeline's SavedModel says of raw rows in files, and of the examples of its run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from penstock import load_model, testing
from penstock_support.raw_rows import predictions_by_kind, records_of_split, rows_of_split

SPLIT = "eval"


def assert_served_as_trained(result: Any, example_gen: str, label: str, folder: Path) -> None:
    """Assert that raw rows in files are predicted as a run's model was trained on them.

    The examples of the split are transformed by serving as Transform has done it for training, and
    the rows of these examples, in files of each kind and without the label, get the predictions
    that the model gives for the examples themselves.
    """
    import tensorflow as tf

    testing.assert_transforms_alike(result, examples=example_gen)
    model, examples = load_model(result), result.output(example_gen, "examples")
    rows = rows_of_split(examples, SPLIT)
    signature = tf.saved_model.load(model.directory).signatures["serving_default"]
    given = signature(examples=tf.constant(records_of_split(examples, SPLIT)))["outputs"].numpy()
    assert len(given) == rows.num_rows > 50
    for kind, table in predictions_by_kind(model, rows.drop([label]), folder).items():
        served = np.array(table.column("outputs").to_pylist())
        np.testing.assert_allclose(served, np.squeeze(given), rtol=1e-5, atol=1e-6, err_msg=kind)
