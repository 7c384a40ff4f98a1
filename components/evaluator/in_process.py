"""Evaluation in this process: sums over whole arrays in place of a Beam pipeline over examples.

What it has no sums for is left to the Beam engine, on Beam's local runner. The results are the
same; confidence intervals are the same from run to run.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from penstock.authoring.beam import BeamOptions
from penstock.components.evaluator import on_beam
from penstock.components.evaluator.extraction import Extraction
from penstock.components.evaluator.job import Job, read_batches
from penstock.components.evaluator.plan import Plan, plan_of
from penstock.components.evaluator.rows import Rows, concatenate, rows_of
from penstock.components.evaluator.slice_metrics import metrics_of
from penstock.components.evaluator.slices import Slices
from penstock.components.evaluator.sums import Sums
from penstock.components.evaluator.unsupported import Unsupported
from penstock.components.evaluator.writing import write

# Rows are added to the sums this many at a time.
_BLOCK_ROWS = 50_000


def evaluate(job: Job, beam: BeamOptions) -> None:
    """Write TFMA's evaluation of the job into its directory."""
    del beam
    try:
        plan = plan_of(job)
        metrics = _sliced_metrics(job, plan)
    except Unsupported as reason:
        print(f"Evaluating with Apache Beam, which takes longer: {reason}.")
        on_beam.evaluate(job, BeamOptions())
        return
    write(job.output_directory, plan, metrics)


def _sliced_metrics(job: Job, plan: Plan) -> list[tuple[Any, dict[Any, Any]]]:
    slices = Slices(plan.eval_config)
    counts = Sums(1, 1)
    # A fixed seed: the same evaluation has the same confidence intervals.
    random = np.random.default_rng(0)
    buckets = plan.jackknife_buckets
    for rows, numbers in _blocks(job, plan, slices):
        groups = numbers * buckets + random.integers(buckets, size=len(numbers))
        counts.add(groups, 0, np.ones((len(groups), 1)))
        for tally in plan.tallies:
            tally.add(rows, groups)
    return [
        (
            key,
            metrics_of(
                plan,
                [tally.sums.tables(number * buckets, buckets) for tally in plan.tallies],
                counts.tables(number * buckets, buckets)[:, 0, 0],
            ),
        )
        for number, key in enumerate(slices.keys)
    ]


def _blocks(job: Job, plan: Plan, slices: Slices) -> Iterator[tuple[Rows, np.ndarray]]:
    """Yield rows, each as often as it is in slices, and the numbers of their slices."""
    parts: list[tuple[Rows, np.ndarray]] = []
    for part in _parts(job, plan, slices):
        parts.append(part)
        if sum(len(numbers) for _, numbers in parts) >= _BLOCK_ROWS:
            yield _joined(parts)
            parts = []
    if parts:
        yield _joined(parts)


def _joined(parts: list[tuple[Rows, np.ndarray]]) -> tuple[Rows, np.ndarray]:
    return concatenate([rows for rows, _ in parts]), np.concatenate([n for _, n in parts])


def _parts(job: Job, plan: Plan, slices: Slices) -> Iterator[tuple[Rows, np.ndarray]]:
    extraction = Extraction(job, plan.eval_config, plan.models)
    done = 0
    for file in job.files:
        for batch in read_batches(file, job.schema):
            if not batch.num_rows:
                continue
            extracts = extraction(batch)
            rows = rows_of(extracts, plan.model_names)
            indices, numbers = slices.assign(
                extraction.transformed(extracts), extracts["features"], len(rows)
            )
            yield rows.take(indices), numbers
            done += batch.num_rows
            job.progress(rows=done)
