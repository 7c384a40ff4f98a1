"""What training code is given, and what it gives back."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from penstock.data.results.training_curves import write_curve
from penstock.errors import UserCodeError
from penstock.models.training_data import TrainingData
from penstock.models.transforming.fitted import FittedFeatures

if TYPE_CHECKING:
    from tensorflow_metadata.proto.v0 import schema_pb2


@dataclass(frozen=True)
class Training:
    """What a `train_fn` is given.

    `parameters` are those of `custom_config` and, over them, those of hyperparameters. `seed` is
    what randomness should begin with; that of `random` and NumPy does already. Logs and
    checkpoints belong in `log_directory`.
    """

    train: TrainingData
    eval: TrainingData
    parameters: Mapping[str, Any] = field(default_factory=dict)
    schema: schema_pb2.Schema | None = field(default=None, repr=False)
    seed: int = 0
    log_directory: str = ""

    def write_curve(self, measure: str, **values: Sequence[float]) -> None:
        """Write what was measured after each round, of `train=[...]`, `validation=[...]`, ….

        Reports, the live page and TensorBoard find it in `log_directory`.
        """
        for run, numbers in values.items():
            write_curve(os.path.join(self.log_directory, run), measure, numbers)


@dataclass(frozen=True)
class TrainedModel:
    """What a `train_fn` gives back, where there is more to say than the model itself.

    `features` come before the model and are kept with it. Without them `inputs` are the columns
    that the model takes; frameworks that know them need not be told, and `label` is left out where
    nothing says which columns these are. `classes` are the labels of a classifier whose framework
    numbers them. `metrics` are numbers that are recorded with the model. `flavor` and its
    `options` are for models that say too little of themselves.
    """

    model: Any
    metrics: Mapping[str, float] = field(default_factory=dict)
    features: FittedFeatures | None = None
    inputs: Sequence[str] | None = None
    label: str | None = None
    classes: Sequence[Any] | None = None
    flavor: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


def trained_model(returned: Any, name: str) -> TrainedModel:
    """Return what training code returned: a `TrainedModel`, a model, or a model and metrics.

    Raises:
      UserCodeError: it returned nothing.
    """
    if isinstance(returned, TrainedModel):
        return returned
    if returned is None:
        raise UserCodeError(
            f"{name} should return the model that it trained, and returned nothing",
            hint="Return the model itself, or penstock.models.TrainedModel(model, metrics=..., "
            "features=...).",
        )
    if isinstance(returned, tuple) and len(returned) == 2 and isinstance(returned[1], Mapping):
        return TrainedModel(returned[0], metrics=returned[1])
    return TrainedModel(returned)
