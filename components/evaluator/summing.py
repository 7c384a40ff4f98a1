"""The sums of an evaluation that are TFMA's, in parts."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from typing import Any

import numpy as np

from penstock.authoring.node_context import NodeContext
from penstock.components.evaluator.extraction import Extraction
from penstock.components.evaluator.job import Job, read_batches
from penstock.components.evaluator.parts import FilesPart, merge_parts
from penstock.components.evaluator.plan import Plan, plan_of
from penstock.components.evaluator.rows import Rows, concatenate, rows_of
from penstock.components.evaluator.slices import Slices
from penstock.components.evaluator.sums import Sums
from penstock.project.clusters import Cluster

# Rows are added to the sums this many at a time.
_BLOCK_ROWS = 50_000

# Rows, each as often as it is in slices, and the groups of sums that they belong to.
Grouped = tuple[Rows, np.ndarray]


class Summed:
    """The sums of some rows by group: a slice's jackknife bucket.

    `sums` are those of the plan's tallies, in their order; `counts` are numbers of rows.
    """

    def __init__(self, plan: Plan) -> None:
        self.buckets = plan.jackknife_buckets
        self.keys: list[Any] = []
        self.counts = Sums(1, 1)
        self.sums = [tally.empty() for tally in plan.tallies]
        self._numbers: dict[Any, int] = {}

    def add(self, plan: Plan, grouped: Grouped) -> None:
        """Add rows to their groups."""
        rows, groups = grouped
        self.counts.add(groups, 0, np.ones((len(groups), 1)))
        for tally, sums in zip(plan.tallies, self.sums, strict=True):
            tally.add(sums, rows, groups)

    def merge(self, other: Summed) -> None:
        """Add the sums of rows that come after these."""
        for key in other.keys:
            if key not in self._numbers:
                self._numbers[key] = len(self.keys)
                self.keys.append(key)
        numbers = np.array([self._numbers[key] for key in other.keys], np.int64)

        def placed(groups: np.ndarray) -> np.ndarray:
            return numbers[groups // self.buckets] * self.buckets + groups % self.buckets

        self.counts.merge(other.counts, placed)
        for ours, theirs in zip(self.sums, other.sums, strict=True):
            ours.merge(theirs, placed)

    def of_slices(self) -> Iterator[tuple[Any, list[np.ndarray], np.ndarray]]:
        """Yield each slice's key, tables by tally, and numbers of rows by bucket."""
        for number, key in enumerate(self.keys):
            place = (number * self.buckets, self.buckets)
            tables = [sums.tables(*place) for sums in self.sums]
            yield key, tables, self.counts.tables(*place)[:, 0, 0]


@dataclass(frozen=True)
class _Asked:
    """What is asked of the rows, as it is sent to who asks it.

    The plan stays where it was made, since it has Keras' metrics; others make it again. Evaluations
    are told apart by `asking` alone.
    """

    job: Job = field(compare=False)
    plan: Plan | None = field(compare=False)
    asking: str = field(default_factory=lambda: uuid.uuid4().hex)

    def __getstate__(self) -> Mapping[str, Any]:
        # Of the node, whoever has a part of its work knows nothing.
        job = replace(self.job, progress=NodeContext().progress)
        return {"job": job, "plan": None, "asking": self.asking}


def summed(job: Job, plan: Plan, cluster: Cluster | None) -> Summed:
    """Return the sums of all rows of a job.

    Raises:
      Unsupported: rows are not as the tallies take them.
      DataError: rows cannot be evaluated, or a file is damaged.
    """
    merged = Summed(plan)
    try:
        merge_parts(merged, partial(_sum, _Asked(job, plan)), job.files, cluster, job.progress)
    finally:
        _opened.cache_clear()
    return merged


def _sum(asked: _Asked, part: FilesPart, advance: Callable[[int], None]) -> Summed:
    plan, extraction = _opened(asked)
    slices, result = Slices(plan.eval_config), Summed(plan)
    for block in _blocks(_grouped(asked.job, part, plan, extraction, slices, advance)):
        result.add(plan, block)
    result.keys = slices.keys
    return result


@lru_cache(maxsize=1)
def _opened(asked: _Asked) -> tuple[Plan, Extraction]:
    plan = asked.plan or plan_of(asked.job)
    return plan, Extraction(asked.job, plan.eval_config, plan.models)


def _blocks(batches: Iterator[Grouped]) -> Iterator[Grouped]:
    waiting: list[Grouped] = []
    for batch in batches:
        waiting.append(batch)
        if sum(len(groups) for _, groups in waiting) >= _BLOCK_ROWS:
            yield _joined(waiting)
            waiting = []
    if waiting:
        yield _joined(waiting)


def _joined(batches: Sequence[Grouped]) -> Grouped:
    return concatenate([rows for rows, _ in batches]), np.concatenate([g for _, g in batches])


def _grouped(
    job: Job,
    part: FilesPart,
    plan: Plan,
    extraction: Extraction,
    slices: Slices,
    advance: Callable[[int], None],
) -> Iterator[Grouped]:
    buckets = plan.jackknife_buckets
    for number, file in enumerate(part.files, part.first):
        for place, batch in enumerate(b for b in read_batches(file, job.schema) if b.num_rows):
            extracts = extraction(batch)
            rows = rows_of(extracts, plan.model_names)
            indices, in_slices = slices.assign(
                extraction.transformed(extracts), extracts["features"], len(rows)
            )
            # A batch has its own seed: the same evaluation has the same confidence intervals.
            random = np.random.default_rng([number, place])
            dealt = random.integers(buckets, size=len(in_slices))
            yield rows.take(indices), in_slices * buckets + dealt
            advance(batch.num_rows)
