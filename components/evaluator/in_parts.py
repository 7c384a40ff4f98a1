"""The sums of an evaluation in parts; a process that does several has the models loaded once."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import pyarrow as pa

from penstock.components.evaluator.arrow.asking import Evaluation
from penstock.components.evaluator.arrow.reading import Evaluated
from penstock.components.evaluator.arrow.summing import Summed, add_file
from penstock.components.evaluator.arrow.tallies import Tally
from penstock.components.evaluator.evaluated_models import PlacedModel, evaluated_models
from penstock.components.evaluator.parts import FilesPart, merge_parts
from penstock.data.records import read_record_batches
from penstock.data.results import evaluation_messages as messages
from penstock.project.clusters import Cluster


@dataclass(frozen=True)
class Asking:
    """What is asked of the rows, as it is sent to who asks it.

    `config` is a serialized one. `asking` tells evaluations apart, for which the same place may
    have another model.
    """

    config: bytes
    tallies: tuple[Tally, ...]
    model: PlacedModel | None
    baseline: PlacedModel | None
    asking: str

    @classmethod
    def of(
        cls, evaluation: Evaluation, model: PlacedModel | None, baseline: PlacedModel | None
    ) -> Asking:
        """Make it of an evaluation."""
        tallies = dict.fromkeys(t for metric in evaluation.metrics for t in metric.tallies)
        config = evaluation.config.SerializeToString(deterministic=True)
        return cls(config, tuple(tallies), model, baseline, uuid.uuid4().hex)


def summed(
    files: Sequence[str],
    evaluation: Evaluation,
    model: PlacedModel | None,
    baseline: PlacedModel | None,
    cluster: Cluster | None,
    progress: Callable[..., None],
) -> Summed:
    """Return the sums of all rows of some files.

    Raises:
      DataError: rows cannot be evaluated, or a file is damaged.
    """
    asking = Asking.of(evaluation, model, baseline)
    merged = Summed(evaluation.config, asking.tallies)
    try:
        merge_parts(merged, partial(_sum, asking), files, cluster, progress)
    finally:
        _models.cache_clear()  # at its own end TensorFlow cannot let go of a model
    return merged


def _sum(asking: Asking, part: FilesPart, advance: Callable[[int], None]) -> Summed:
    config, models = _models(asking)
    specs = {spec.name: spec for spec in config.model_specs}
    result = Summed(config, asking.tallies)
    for number, file in enumerate(part.files, part.first):
        tables = (pa.Table.from_batches([batch]) for batch in read_record_batches(file))
        add_file(result, file, number, tables, models, specs, advance)
    return result


@lru_cache(maxsize=1)
def _models(asking: Asking) -> tuple[Any, list[Evaluated]]:
    config = messages.EvalConfig.FromString(asking.config)
    return config, evaluated_models(config, asking.model, asking.baseline)
