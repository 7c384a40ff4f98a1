"""The features of a penguin; preprocessing, model and tests share these names."""

from __future__ import annotations

LABEL = "species"

NUMBERS = ("bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g")

# Left out on purpose, each with its reason.
DROPPED_FEATURES = {
    "island": "tells where people looked; two of the species live on one island each",
    "sex": "missing for some, and the measurements suffice",
    "year": "says when a penguin was measured, not what it is",
}


def transformed(name: str) -> str:
    """Return the name of a feature after preprocessing."""
    return f"{name}_xf"
