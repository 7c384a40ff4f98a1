"""TFX's placeholders where Python asks for a value: they have none, and say what to write."""

from __future__ import annotations

import sys
import sysconfig
from typing import Any

from penstock._tfx.core import Placeholder, artifact_placeholder
from penstock.errors import PipelineError

_PACKAGES = tuple(sysconfig.get_path(name) for name in ("purelib", "platlib"))

CONDITION_HINT = (
    "Put the nodes that depend on it under a condition: with Cond(...):, which is decided when the "
    "pipeline runs (from penstock import Cond)."
)


def channel_of_value(placeholder: Any) -> Any:
    """Return the channel of which a placeholder is `channel.future()[0].value`, or None."""
    if isinstance(placeholder, artifact_placeholder._ArtifactValueOperator):
        return getattr(placeholder._value, "channel", None)
    return None


def asks_a_package() -> bool:
    """Whether who asks for the truth of a value is an installed package, TFX before all.

    It asks whether something is given, or compares what stands in two conditions.
    """
    return sys._getframe(2).f_code.co_filename.startswith(_PACKAGES)


def _truth(placeholder: Any) -> bool:
    if asks_a_package():
        return True
    raise PipelineError(
        f"{type(placeholder).__name__.lstrip('_')}: what a node returns has no value while the "
        "pipeline is defined, so it is neither true nor false",
        hint=CONDITION_HINT,
    )


def install() -> None:
    """Refuse where TFX's placeholders would always be true."""
    Placeholder.__bool__ = _truth
