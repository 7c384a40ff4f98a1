"""A metric: what a config asks for, and the sums and the function that it comes to."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from penstock.components.evaluator.arrow import forms
from penstock.components.evaluator.arrow.keys import MICRO, Key, SubKey
from penstock.components.evaluator.arrow.outcomes import View
from penstock.components.evaluator.arrow.tallies import Tables, Tally


@dataclass(frozen=True)
class Asked:
    """A metric that a config asks for, of one model and of one part of the classes.

    `settings` are those of its `config`. `label_range` is that of the label in the schema.
    """

    class_name: str
    settings: Mapping[str, Any]
    model: str
    weighted: bool
    sub_key: SubKey | None = None
    aggregation: str | None = None
    class_weights: tuple[tuple[int, float], ...] = ()
    label_range: tuple[float | None, float | None] = (None, None)

    def view(self, part: SubKey | None = None) -> View:
        """Return what the metric is of."""
        return View(
            self.model,
            self.weighted,
            part or self.sub_key,
            self.aggregation == MICRO,
            self.class_weights if self.aggregation == MICRO else (),
        )


@dataclass(frozen=True)
class Metric:
    """A metric, or a plot: its key, the sums that it takes, and what it makes of them.

    `has_interval` says whether it gets a confidence interval where these are asked for.
    """

    key: Key
    tallies: tuple[Tally, ...]
    value: Callable[[Tables], Any]
    form: forms.Form = forms.number
    plot_form: forms.PlotForm | None = None
    has_interval: bool = True


# What builds a metric, and which settings it has.
Builder = tuple[Callable[[Asked], Metric], Sequence[str]]


def key_of(asked: Asked, default: str, sub_key: SubKey | None, aggregated: bool = False) -> Key:
    """Return the key of a metric: by its own name, or else by the default one."""
    return Key(
        str(asked.settings.get("name") or default),
        asked.model,
        sub_key,
        asked.aggregation if aggregated else None,
        asked.weighted,
    )


def snake_case(class_name: str) -> str:
    """Return the name that TFMA and Keras give a metric of a class, as sparse_top_k for SparseTopK.

    TFMA's CrossEntropy is one word, as Keras' Crossentropy is.
    """
    joined = class_name.replace("CrossEntropy", "Crossentropy")
    words = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", joined)
    return re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", words).lower()
