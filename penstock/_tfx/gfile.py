"""TFX's access to files by TensorFlow's, which it lacks where its core came first."""

from __future__ import annotations

import importlib
import os
import sys

_PLUGIN = "tfx.dsl.io.plugins.tensorflow_gfile"
# Before TFX's own access, and after TensorFlow's: the lowest number counts.
_PRIORITY = 15


def complete() -> None:
    """Register TensorFlow's files with TFX, as it does itself where TensorFlow is not hidden.

    TFX's own code asks for the length of a file, for example, which its other access has not.
    """
    plugin = sys.modules.get(_PLUGIN)
    if plugin is not None and getattr(plugin, "tf", None) is None and sys.modules.get("tensorflow"):
        importlib.reload(plugin)


def stand_in() -> None:
    """Have TFX make folders as with TensorFlow's files, also while TensorFlow is not there.

    TensorFlow takes a folder without a name, as that of `metadata.db`, and one that is there
    already, for made.
    """
    from tfx.dsl.io import filesystem_registry
    from tfx.dsl.io.plugins.local import LocalFilesystem

    class Folders(LocalFilesystem):
        @staticmethod
        def makedirs(path: str | bytes) -> None:
            if path:
                os.makedirs(path, exist_ok=True)

        @staticmethod
        def mkdir(path: str | bytes) -> None:
            if path and not os.path.isdir(path):
                LocalFilesystem.mkdir(path)

    registry = filesystem_registry.DEFAULT_FILESYSTEM_REGISTRY
    registry.register(Folders, priority=_PRIORITY)
