"""What preprocessing_fn may return: a dict of features, each of them a value for every row."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from penstock.errors import UserCodeError
from penstock.project.user_code import place_of

_EXAMPLE = '{"price_scaled": tft.scale_to_z_score(inputs["price"])}'


def checking(function: Callable[..., Any], *, is_analyzed: bool = False) -> Callable[..., Any]:
    """Return preprocessing_fn with a look at what it returns while it is traced.

    Until the data are analyzed, sizes that follow from analyzers are not known and may be open.

    Raises:
      UserCodeError: what tf.Transform cannot make features of, by the feature's name.
    """

    def checked(inputs: Mapping[str, Any]) -> Any:
        returned = function(dict(inputs))
        found = _fault(returned, is_analyzed)
        if found:
            message, hint = found
            raise UserCodeError(
                f"{_name(function)} returned {message}", path=place_of(function), hint=hint
            )
        return returned

    return checked


def _fault(returned: Any, is_analyzed: bool) -> tuple[str, str] | None:
    """Return what was returned in place of features and what to do, or None."""
    if not isinstance(returned, Mapping):
        return (
            f"{_kind(returned)} where a dict of features is expected",
            f"End it with: return {_EXAMPLE}.",
        )
    if not returned:
        return "no feature at all", f"Return the features to train with, as in {_EXAMPLE}."
    for name, value in returned.items():
        if not isinstance(name, str):
            return (
                f"a feature with the name {name!r} ({type(name).__name__})",
                "Names of features are strings.",
            )
        found = _fault_of_feature(value, is_analyzed)
        if found:
            message, hint = found
            return f"{message} as the feature {name!r}", hint
    return None


def _fault_of_feature(value: Any, is_analyzed: bool) -> tuple[str, str] | None:
    import tensorflow as tf

    if not isinstance(value, (tf.Tensor, tf.SparseTensor, tf.RaggedTensor)):
        return (
            _kind(value),
            "A feature is a tensor with a value for each row; of one value for all rows "
            "make one with tf.fill.",
        )
    if value.dtype not in (tf.int64, tf.float32, tf.string):
        wanted = "tf.float32" if value.dtype.is_floating else "tf.int64"
        return (
            f"a tensor of {value.dtype.name}",
            f"Features are int64, float32 or string: write tf.cast(…, {wanted}).",
        )
    if not isinstance(value, tf.Tensor):
        return None
    shape = value.shape
    if shape.rank is None:
        if not is_analyzed:
            return None
        return (
            "a tensor of unknown shape",
            "State it, the rows first: tf.ensure_shape(…, [None]).",
        )
    if shape.rank == 0 or shape[0] is not None:
        return (
            f"a tensor of shape {_text(shape)}, which has no row for each row of the data",
            "What an analyzer returns (tft.mean, tft.quantiles …) is about all rows: compute a "
            "feature with it, as inputs[…] - tft.mean(inputs[…]).",
        )
    if is_analyzed and None in shape.as_list()[1:]:
        return (
            f"a tensor of shape {_text(shape)}",
            "Only the number of rows may be open: state the others with tf.ensure_shape, or return "
            "a sparse or ragged tensor.",
        )
    return None


def _text(shape: Any) -> str:
    sizes = ["rows" if i == 0 and d is None else d for i, d in enumerate(shape.as_list())]
    return f"[{', '.join('?' if size is None else str(size) for size in sizes)}]"


def _kind(value: Any) -> str:
    if value is None:
        return "None"
    kind = type(value).__name__
    return "a tensor" if "Tensor" in kind else f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"


def _name(function: Callable[..., Any]) -> str:
    function = getattr(function, "func", function)
    return str(getattr(function, "__name__", "preprocessing_fn"))
