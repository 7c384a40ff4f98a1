"""Prototyping a pipeline in a notebook, one component at a time."""

from penstock.surfaces.notebook.session import NodeFailed, Session

__all__ = ["NodeFailed", "Session"]
