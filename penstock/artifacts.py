"""The standard artifact types, under their public name."""

from penstock.authoring import artifacts
from penstock.authoring.artifacts import *  # noqa: F403  # what it exports, and no list of it twice

__all__ = artifacts.__all__  # a list, as that module has it
