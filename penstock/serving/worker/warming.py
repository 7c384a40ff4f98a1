"""The first questions to a model, which take longer than all others: asked before anybody waits."""

from __future__ import annotations

from penstock.models.loading import Model
from penstock.models.warmup import warmup_rows

# Frameworks prepare themselves anew for other numbers of rows.
_SIZES = (1, 2, 16)


def warm(model: Model) -> None:
    """Ask a model about its warm-up requests, or else about its example.

    What it raises is for whoever loads it: a model that cannot answer its own requests is not to
    answer anybody.
    """
    rows = warmup_rows(model.directory)
    if rows is None:
        rows = model.example
    if rows is None or not rows.num_rows:
        return
    for size in _SIZES:
        model.predict(rows.take([place % rows.num_rows for place in range(size)]))
    for start in range(_SIZES[-1], rows.num_rows, _SIZES[-1]):
        model.predict(rows.slice(start, _SIZES[-1]))
