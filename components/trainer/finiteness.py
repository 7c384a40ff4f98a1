"""Models whose training went wrong: weights that are not numbers, and when the loss became so.

What is served is the weights, so they decide. A loss that was not a number on the way, in a model
whose weights are numbers, is the user's business: training may have gone back to a good epoch.
"""

from __future__ import annotations

import glob
import math
import os
from collections.abc import Sequence

from penstock.data.coding.nonfinite import NonFinite
from penstock.data.records import read_record_batches
from penstock.data.results.training_curves import read_scalars
from penstock.errors import DataError, UserCodeError

_SHOWN_WEIGHTS = 5


def check_weights(
    directory: str,
    module: str,
    model_run_directory: str | None = None,
    files: Sequence[str] = (),
) -> None:
    """Raise UserCodeError where a saved model has weights that are NaN or infinite.

    A scalar may be infinite: so begins what keeps the best value of something. Where
    TensorBoard's logs are in `model_run_directory`, the error says when the loss was lost. If
    features in the files of the training data are no numbers, these are named.
    """
    weights = os.path.join(directory, "variables", "variables")
    if not os.path.isfile(f"{weights}.index"):
        return
    broken = _not_finite(weights)
    if not broken:
        return
    lost = first_loss_that_is_not_finite(model_run_directory) if model_run_directory else None
    listed = ", ".join(broken[:_SHOWN_WEIGHTS])
    more = len(broken) - _SHOWN_WEIGHTS
    features = _features_that_are_not_finite(files)
    if features:
        raise UserCodeError(
            f"the trained model has weights that are not numbers (NaN or infinite), and so have "
            f"the rows that it was trained on: {'; '.join(features)}"
            + (f"; {lost}" if lost else ""),
            path=module,
            hint="Mend the feature where it is made: in preprocessing_fn, where a division by 0 "
            "or the logarithm of what is not positive gives no number, or in the data.",
        )
    raise UserCodeError(
        f"the trained model has weights that are not numbers (NaN or infinite): {listed}"
        + (f" and {more} more" if more > 0 else "")
        + (f"; {lost}" if lost else ""),
        path=module,
        hint="Look for missing values among features and labels, and try a smaller learning rate."
        + (
            ""
            if lost
            else " To learn when the loss was lost, log it: "
            "keras.callbacks.TensorBoard(fn_args.model_run_dir)."
        ),
    )


def _features_that_are_not_finite(files: Sequence[str]) -> list[str]:
    found = NonFinite()
    try:
        for batch in read_record_batches(files):
            found.add(batch)
    except DataError:  # of another payload; what is wrong with the weights is said without it
        return []
    return found.described()


def first_loss_that_is_not_finite(log_directory: str) -> str | None:
    """Return when a loss was first not a number, by TensorBoard's logs below a folder."""
    losses = [
        (step, tag, value)
        for path in glob.glob(os.path.join(log_directory, "**", "*.tfevents.*"), recursive=True)
        for tag, step, value in read_scalars(path)
        if "loss" in tag and not math.isfinite(value)
    ]
    if not losses:
        return None
    # Steps of epochs, from 0, are small numbers: they come first, as what is said more often.
    step, tag, value = min(losses, key=lambda entry: (not _by_epoch(entry[1]), entry[0]))
    when = f"in epoch {step + 1}" if _by_epoch(tag) else f"at step {step}"
    return f"{tag} was first {value} {when}"


def _by_epoch(tag: str) -> bool:
    return tag.startswith("epoch_")


def _not_finite(weights: str) -> list[str]:
    import numpy
    import tensorflow

    checkpoint = tensorflow.train.load_checkpoint(weights)
    broken = []
    for name, kind in checkpoint.get_variable_to_dtype_map().items():
        if not kind.is_floating:
            continue
        values = checkpoint.get_tensor(name).astype("float64")
        if numpy.isnan(values).any() or (values.ndim and numpy.isinf(values).any()):
            broken.append(name.removesuffix("/.ATTRIBUTES/VARIABLE_VALUE"))
    return sorted(broken)
