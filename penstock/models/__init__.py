"""Models of any framework: saved with a signature, loaded without code, asked in Arrow.

These names are for training code, components and scripts; they are loaded when they are first
used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from penstock.models.class_names import name_classes
    from penstock.models.facts import ModelFacts
    from penstock.models.flavor import Flavor, Loading, Saving
    from penstock.models.loading import Model, load_model
    from penstock.models.predictions import classification, regression
    from penstock.models.saving import save_model
    from penstock.models.signature import Column, Signature
    from penstock.models.training import TrainedModel, Training
    from penstock.models.training_data import TrainingData, class_numbers
    from penstock.models.transforming.fitted import Features, FittedFeatures, features

_HOMES = {
    "Column": "signature",
    "Features": "transforming.fitted",
    "FittedFeatures": "transforming.fitted",
    "Flavor": "flavor",
    "Loading": "flavor",
    "Model": "loading",
    "ModelFacts": "facts",
    "Saving": "flavor",
    "Signature": "signature",
    "TrainedModel": "training",
    "Training": "training",
    "TrainingData": "training_data",
    "class_numbers": "training_data",
    "classification": "predictions",
    "features": "transforming.fitted",
    "load_model": "loading",
    "name_classes": "class_names",
    "regression": "predictions",
    "save_model": "saving",
}

__all__ = [
    "Column",
    "Features",
    "FittedFeatures",
    "Flavor",
    "Loading",
    "Model",
    "ModelFacts",
    "Saving",
    "Signature",
    "TrainedModel",
    "Training",
    "TrainingData",
    "class_numbers",
    "classification",
    "features",
    "load_model",
    "name_classes",
    "regression",
    "save_model",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'penstock.models' has no attribute {name!r}")
    return getattr(importlib.import_module(f"penstock.models.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
