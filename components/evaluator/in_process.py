"""Evaluation in process: sums over whole arrays in place of a Beam pipeline over examples.

What it has no sums for is left to the Beam engine, on Beam's local runner. The results are the
same; confidence intervals are the same from run to run.
"""

from __future__ import annotations

from penstock.authoring.beam import BeamOptions
from penstock.components.evaluator import on_beam
from penstock.components.evaluator.job import Job
from penstock.components.evaluator.plan import plan_of
from penstock.components.evaluator.slice_metrics import metrics_of
from penstock.components.evaluator.summing import summed
from penstock.components.evaluator.unsupported import Unsupported, told
from penstock.components.evaluator.writing import write


def evaluate(job: Job, beam: BeamOptions) -> None:
    """Write TFMA's evaluation of the job into its directory."""
    try:
        plan = plan_of(job)
        slices = summed(job, plan, beam.cluster).of_slices()
        metrics = [(key, metrics_of(plan, tables, counts)) for key, tables, counts in slices]
    except Unsupported as reason:
        print(told("Apache Beam", reason, beam))
        on_beam.evaluate(job, BeamOptions())
        return
    write(job.output_directory, plan, metrics)
