"""The frameworks that a new project may begin with, and which is there."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Framework:
    """A framework: its name, the extra and the modules that it needs, and words about it."""

    name: str
    shown: str
    extra: str
    modules: tuple[str, ...]
    rounds: str = ""

    @property
    def is_installed(self) -> bool:
        """Whether all of its modules are there."""
        return all(map(importlib.util.find_spec, self.modules))

    @property
    def templates(self) -> tuple[str, ...]:
        """The templates of a project: Keras has all of TFX, the others what the core has."""
        own = "tabular_keras" if self.name == "keras" else "tabular_frameworks"
        return ("tabular", own)


# The lightest first.
FRAMEWORKS: Mapping[str, Framework] = {
    framework.name: framework
    for framework in (
        Framework(
            "sklearn",
            "scikit-learn",
            "sklearn",
            ("sklearn", "skops"),
            "the number of trees",
        ),
        Framework("lightgbm", "LightGBM", "lightgbm", ("lightgbm",), "the number of trees"),
        Framework("xgboost", "XGBoost", "xgboost", ("xgboost",), "the number of trees"),
        Framework("torch", "PyTorch", "torch", ("torch",), "how often it sees all rows"),
        Framework("keras", "Keras", "tfx", ("tensorflow", "tensorflow_transform", "tfx_bsl")),
    )
}


def lightest_installed() -> Framework:
    """Return the lightest framework that is installed, or the lightest if none is."""
    installed = (framework for framework in FRAMEWORKS.values() if framework.is_installed)
    return next(installed, FRAMEWORKS["sklearn"])
