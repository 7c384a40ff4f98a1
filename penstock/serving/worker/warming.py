"""The first questions to a model, which take longer than all others: asked before anybody waits."""

from __future__ import annotations

from penstock.models.loading import Model

# Frameworks prepare themselves anew for other numbers of rows.
_SIZES = (1, 2, 16)


def warm(model: Model) -> None:
    """Ask a model about its warm-up requests, or else about its example.

    What it raises is for whoever loads it: a model that cannot answer its own example is not to
    answer anybody.
    """
    rows = model.example
    if rows is None or not rows.num_rows:
        return
    for size in _SIZES:
        model.predict(rows.take([place % rows.num_rows for place in range(size)]))
