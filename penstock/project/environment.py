"""What a run runs on: the versions of what decides its results, and the machine."""

from __future__ import annotations

import importlib.metadata
import os
import platform

# What a pod is told of the image that it runs in.
IMAGE_VARIABLE = "PENSTOCK_IMAGE"

# Those that take part in what comes out of a run, in the order in which they are told.
LIBRARIES = (
    "penstock",
    "tfx",
    "tensorflow",
    "keras",
    "tensorflow-data-validation",
    "tensorflow-transform",
    "tensorflow-model-analysis",
    "tfx-bsl",
    "ml-metadata",
    "apache-beam",
    "pyarrow",
    "numpy",
    "protobuf",
)


def environment() -> dict[str, str]:
    """Return the versions of Python and of libraries, as installed, and the machine's size."""
    versions = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    versions["system"] = f"{platform.system()} {platform.release()} {platform.machine()}"
    versions["CPUs"] = str(len(os.sched_getaffinity(0)) if _has_affinity() else os.cpu_count() or 1)
    memory = _memory_bytes()
    if memory:
        versions["memory"] = f"{memory / 1e9:.1f} GB"
    return versions


def _has_affinity() -> bool:
    return hasattr(os, "sched_getaffinity")  # not on macOS


def _memory_bytes() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return 0
