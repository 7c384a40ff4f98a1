"""Prototyping a pipeline in a notebook, one component at a time."""

from penstock.notebook.session import NodeFailed, Session

__all__ = ["NodeFailed", "Session"]
