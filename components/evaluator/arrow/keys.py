"""What a metric is known by: its name, the model, and which classes it is of."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from penstock.data.results import evaluation_messages as messages

MICRO, MACRO, WEIGHTED_MACRO = "micro_average", "macro_average", "weighted_macro_average"


@dataclass(frozen=True)
class SubKey:
    """The part of a prediction that a metric looks at: a class, the k-th likeliest, the top k."""

    class_id: int | None = None
    k: int | None = None
    top_k: int | None = None


@dataclass(frozen=True)
class Key:
    """The key of a metric or of a plot; `aggregation` says how it averages over classes.

    `model` is empty where one model alone is evaluated.
    """

    name: str
    model: str = ""
    sub_key: SubKey | None = None
    aggregation: str | None = None
    weighted: bool | None = None
    is_diff: bool = False

    def of_model(self, model: str) -> Key:
        """Return the key of the same metric of another model."""
        return replace(self, model=model, is_diff=False)

    def difference(self) -> Key:
        """Return the key of the metric's change against the baseline."""
        return replace(self, is_diff=True)

    def to_message(self) -> Any:
        """Return the key as the MetricKey message."""
        message = messages.MetricKey(name=self.name, model_name=self.model, is_diff=self.is_diff)
        self._write_common(message)
        if self.aggregation is not None:
            setattr(message.aggregation_type, self.aggregation, True)
        return message

    def to_plot_message(self, name: str) -> Any:
        """Return the key as the PlotKey message, under a name or none."""
        message = messages.PlotKey(name=name, model_name=self.model)
        self._write_common(message)
        return message

    def _write_common(self, message: Any) -> None:
        if self.weighted is not None:
            message.example_weighted.value = self.weighted
        if self.sub_key is not None:
            for field in ("class_id", "k", "top_k"):
                number = getattr(self.sub_key, field)
                if number is not None:
                    getattr(message.sub_key, field).value = number

    def order(self) -> tuple[Any, ...]:
        """Return what keys are sorted by."""
        sub_key = self.sub_key or SubKey()
        numbers = (sub_key.class_id, sub_key.k, sub_key.top_k)
        return (
            self.name,
            self.model,
            tuple(-1 if number is None else number for number in numbers),
            self.aggregation or "",
            bool(self.weighted),
            self.is_diff,
        )
