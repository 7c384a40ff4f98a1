"""For tests of pipelines: killing what runs them, and a server of Kubeflow Pipelines to talk to.

    runner = LocalRunner(on_step=KillAt(Step.WORKED, "Trainer"), display=Silent())
    result = runner.run(pipeline, raise_on_failure=False)

kills Trainer's worker when its work is done, as a machine without memory would. To kill the
process that runs the pipeline, run it in a process of its own; `LocalRunner.resume` then goes on
with the run.

`assert_loss_falls` and the others ask of a model, and of a run, what Google's guide to testing
pipelines asks; `penstock.testing.fixtures` gives tests a fixture that runs one.

`FakeStarter` is a double of what starts runs for triggers and deploys, `FakeTarget` one of where
models serve, for releases, `FakeSink` one of where alerts are sent.

`penstock.testing.kubeflow` has the server.
"""

from __future__ import annotations

from penstock.execution.steps import WORKERS_STEPS, Step
from penstock.runners.local.display import Silent
from penstock.testing.alerting import FakeSink
from penstock.testing.killing import KillAt
from penstock.testing.models import (
    assert_answers_within,
    assert_finite_on_extremes,
    assert_learns_by_heart,
    assert_loss_falls,
    assert_rows_do_not_matter_to_each_other,
    assert_same_predictions,
    assert_transforms_alike,
    assert_yields_artifacts,
)
from penstock.testing.releasing import FakeTarget
from penstock.testing.starting import FakeStarter

__all__ = [
    "WORKERS_STEPS",
    "FakeSink",
    "FakeStarter",
    "FakeTarget",
    "KillAt",
    "Silent",
    "Step",
    "assert_answers_within",
    "assert_finite_on_extremes",
    "assert_learns_by_heart",
    "assert_loss_falls",
    "assert_rows_do_not_matter_to_each_other",
    "assert_same_predictions",
    "assert_transforms_alike",
    "assert_yields_artifacts",
]
