"""TFX's placeholders where Python asks for a value: they have none, and say what to write."""

from __future__ import annotations

from typing import Any, NoReturn

from penstock._tfx.core import Placeholder, artifact_placeholder
from penstock.errors import PipelineError

CONDITION_HINT = (
    "Put the nodes that depend on it under a condition: with Cond(...):, which is decided when the "
    "pipeline runs (from penstock import Cond)."
)


def channel_of_value(placeholder: Any) -> Any:
    """Return the channel of which a placeholder is `channel.future()[0].value`, or None."""
    if isinstance(placeholder, artifact_placeholder._ArtifactValueOperator):
        return getattr(placeholder._value, "channel", None)
    return None


def _no_truth(placeholder: Any) -> NoReturn:
    raise PipelineError(
        f"{type(placeholder).__name__.lstrip('_')}: what a node returns has no value while the "
        "pipeline is defined, so it is neither true nor false",
        hint=CONDITION_HINT,
    )


def install() -> None:
    """Refuse where TFX's placeholders would always be true."""
    Placeholder.__bool__ = _no_truth
