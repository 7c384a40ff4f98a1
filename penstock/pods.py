"""What nodes ask of Kubernetes, under its public name."""

from penstock.project.pods import ConfigMap, Gpu, PodOptions, Secret, Toleration, Volume

__all__ = ["ConfigMap", "Gpu", "PodOptions", "Secret", "Toleration", "Volume"]
