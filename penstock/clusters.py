"""Clusters that do the parts of nodes' work, under their public name."""

from penstock.project.clusters import RayOptions, SparkOptions

__all__ = ["RayOptions", "SparkOptions"]
