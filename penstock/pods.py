"""What nodes ask of Kubernetes, under its public name."""

from penstock.project.pods import (
    ConfigMap,
    EmptyDir,
    Gpu,
    NodeAffinity,
    PodOptions,
    Secret,
    Toleration,
    Volume,
)

__all__ = [
    "ConfigMap",
    "EmptyDir",
    "Gpu",
    "NodeAffinity",
    "PodOptions",
    "Secret",
    "Toleration",
    "Volume",
]
