"""Features: columns made of columns, with what was learned of the training data kept as data."""

from penstock.models.transforming.expressions import Columns, Expression

__all__ = ["Columns", "Expression"]
