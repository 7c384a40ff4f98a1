"""Remote paths for TFX's own code, which opens, lists and copies files by way of `fileio`."""

from __future__ import annotations

import importlib.util
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

from penstock.data.files import remote

LocalCopy = Callable[[str], str | None]


def register(local_copy: LocalCopy | None = None) -> None:
    """Have TFX's `fileio` take remote URLs to fsspec; `local_copy` says what is here already."""
    from tfx.dsl.io import fileio, filesystem, filesystem_registry

    def location(url: Any) -> str:
        text = os.fsdecode(url)
        return (local_copy(text) if local_copy else None) or text

    class RemoteFiles(filesystem.Filesystem):
        """TFX's interface to the files of fsspec."""

        SUPPORTED_SCHEMES = _schemes()

        @staticmethod
        def open(name: Any, mode: str = "r") -> Any:
            local = location(name)
            return remote.open_file(local, mode) if remote.is_remote(local) else open(local, mode)

        @staticmethod
        def copy(src: Any, dst: Any, overwrite: bool = False) -> None:
            if not overwrite and RemoteFiles.exists(dst):
                raise OSError(f"{dst} exists already")
            with RemoteFiles.open(src, "rb") as source, RemoteFiles.open(dst, "wb") as target:
                target.write(source.read())

        @staticmethod
        def exists(path: Any) -> bool:
            local = location(path)
            return remote.exists(local) if remote.is_remote(local) else os.path.exists(local)

        @staticmethod
        def glob(pattern: Any) -> list[Any]:
            return list(remote.glob(os.fsdecode(pattern)))

        @staticmethod
        def isdir(path: Any) -> bool:
            local = location(path)
            return remote.is_folder(local) if remote.is_remote(local) else os.path.isdir(local)

        @staticmethod
        def listdir(path: Any) -> list[Any]:
            local = location(path)
            if not remote.is_remote(local):
                return list(os.listdir(local))
            return remote.names(local)

        @staticmethod
        def makedirs(path: Any) -> None:
            """Make nothing: object stores have no folders, others make them for their files."""

        @staticmethod
        def mkdir(path: Any) -> None:
            """Make nothing, likewise."""

        @staticmethod
        def remove(path: Any) -> None:
            remote.remove(os.fsdecode(path))

        @staticmethod
        def rename(src: Any, dst: Any, overwrite: bool = False) -> None:
            RemoteFiles.copy(src, dst, overwrite)
            RemoteFiles.remove(src)

        @staticmethod
        def rmtree(path: Any) -> None:
            remote.remove(os.fsdecode(path))

        @staticmethod
        def stat(path: Any) -> Any:
            [file] = remote.list_files(os.fsdecode(path))
            return os.stat_result((0, 0, 0, 0, 0, 0, file.size, 0, 0, 0))

        @staticmethod
        def walk(top: Any, *_: Any, **__: Any) -> Iterator[Any]:
            return remote.walk(os.fsdecode(top))

    del fileio  # imported for the plugins that it registers first
    # The lowest number counts: before TensorFlow's plugin, and before what was registered earlier.
    registry = filesystem_registry.DEFAULT_FILESYSTEM_REGISTRY
    registry.register(RemoteFiles, priority=-time.monotonic_ns())


def _schemes() -> list[str]:
    # TensorFlow reads gs:// without the extra.
    has_gcs = importlib.util.find_spec("gcsfs") is not None
    return ["s3://", "minio://", *(["gs://"] if has_gcs else [])]
