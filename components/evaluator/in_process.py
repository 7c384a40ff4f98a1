"""Evaluation in this process."""

from __future__ import annotations

from penstock.beam import BeamOptions
from penstock.components.evaluator import on_beam
from penstock.components.evaluator.job import Job


def evaluate(job: Job, beam: BeamOptions) -> None:
    """Write TFMA's evaluation of the job into its directory."""
    del beam
    on_beam.evaluate(job, BeamOptions())
