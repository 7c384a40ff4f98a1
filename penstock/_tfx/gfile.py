"""TFX's access to files by TensorFlow's, which it lacks where its core came first."""

from __future__ import annotations

import importlib
import sys

_PLUGIN = "tfx.dsl.io.plugins.tensorflow_gfile"


def complete() -> None:
    """Register TensorFlow's files with TFX, as it does itself where TensorFlow is not hidden.

    TFX's own code asks for the length of a file, for example, which its other access has not.
    """
    plugin = sys.modules.get(_PLUGIN)
    if plugin is not None and getattr(plugin, "tf", None) is None and sys.modules.get("tensorflow"):
        importlib.reload(plugin)
